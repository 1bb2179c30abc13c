"""mico-run as it is installed: the shipped files inside the package, used from any folder; and an edit of its source."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from mico_runner import paths

NET = """\
spec_version: 1
name: mine
hardware: bitfusion
datasets: {task: digits, validation: 300}
model: {name: small-cnn, train: {epochs: 1}}
evaluate: null
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder for PYTHONPATH that holds the package as `pip install` lays it out."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(paths.PACKAGE, folder / "mico_runner", ignore=shutil.ignore_patterns("__pycache__"))
    for room in ("hardware", "datasets", "specs"):
        shutil.copytree(paths.shipped(room), folder / "mico_runner" / "share" / room)
    return folder


def mico_run(site, where, *arguments):
    """What `mico-run` prints in a folder; it must succeed."""
    environment = {**os.environ, "PYTHONPATH": str(site), "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-m", "mico_runner", *arguments]
    done = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_shipped_specs_are_found_from_any_folder(site, tmp_path):
    assert "train" in mico_run(site, tmp_path, "plan", "specs/quickstart.yaml")
    assert mico_run(site, tmp_path, "validate", "specs/lenet-mnist.yaml").strip() == "specs/lenet-mnist.yaml: ok"
    (tmp_path / "mine.yaml").write_text(NET.replace("hardware: bitfusion", "extends: templates/bitfusion.yaml"))
    assert "search" in mico_run(site, tmp_path, "plan", "mine.yaml")


@pytest.mark.slow
def test_an_edit_of_the_model_trains_again_and_a_comment_does_not(site, tmp_path):
    (tmp_path / "mine.yaml").write_text(NET)

    def planned():
        (row,) = json.loads(mico_run(site, tmp_path, "plan", "mine.yaml", "--json"))
        return row["action"], row["reason"]

    file = site / "mico_runner" / "models" / "lenet.py"
    text = file.read_text()
    assert planned() == ("run", "never ran")
    mico_run(site, tmp_path, "run", "mine.yaml", "--quiet")
    assert planned()[0] == "cached"
    file.write_text("# a comment\n" + text.replace('"""', '"""Another docstring. ', 1))
    assert planned()[0] == "cached"
    file.write_text(text.replace("channels, 3, padding=1", "channels, 3, stride=2, padding=1"))
    assert planned() == ("run", "models/lenet.py changed")
    file.write_text(text)
    assert planned()[0] == "cached"
