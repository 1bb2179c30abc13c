"""`import mico_runner`: the functions that mico-run calls; and the files that others read about the project."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import mico_runner as mico
from mico_runner import cli, paths, pipeline
from mico_runner.errors import UsageError
from mico_runner.outputs import store
from mico_runner.spec import SpecErrors
from mico_runner.steps.base import Metric

ROOT = Path(__file__).resolve().parents[1]
PROFILE = paths.shipped("specs") / "profile-bitfusion.yaml"


@pytest.fixture
def versions(tmp_path):
    """Two versions of x; the second is slower."""
    for number, latency in ((1, 10.0), (2, 12.0)):
        folder = tmp_path / "x" / f"v{number:04d}"
        folder.mkdir(parents=True)
        store.write_metrics(folder, {"m.latency": Metric(latency, "ms", "lower")})
        (folder / "spec.resolved.yaml").write_text("name: x\n")
    return tmp_path


def test_everything_that_is_offered_is_there():
    assert set(mico._API) < set(mico.__all__) and all(getattr(mico, name).__doc__ for name in mico._API)
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        mico.lod  # noqa: B018


def test_the_import_loads_nothing():
    code = "import sys, mico_runner; print([n for n in sys.modules if n.startswith(('mico_runner.', 'numpy', 'yaml'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "['mico_runner.version']", done.stderr


def test_versions_are_read_and_compared(versions):
    assert mico.metrics("x/v0001", versions)["m.latency"].value == 10
    assert [row.name for row in mico.diff("x/v0001", "x", outputs=versions).regressions] == ["m.latency"]
    assert not mico.diff("x/v0001", versions / "x" / "v0002", ["m.latency>+30%"], outputs=versions).regressed
    assert mico.compare(["x/v0001", "x"], outputs=versions).lines[0].best == (0,)
    assert mico.history("x", outputs=versions).series[0].values == (10, 12)
    with pytest.raises(UsageError, match="no baseline"):
        mico.diff(None, "x", outputs=versions)


def test_specs_are_loaded_planned_and_run(monkeypatch):
    spec = mico.load(PROFILE, ["seed=4"])
    asked = []
    monkeypatch.setattr(pipeline, "run", lambda *given: asked.append(given))
    monkeypatch.setattr(pipeline, "plan", lambda *given: asked.append(given))
    options = mico.Options(only="profile")
    mico.run(spec, options), mico.plan(spec, options)
    assert asked == [(spec.data, options)] * 2 and spec.data["seed"] == 4
    with pytest.raises(SpecErrors) as caught:
        mico.load(PROFILE, ["sead=4"])
    assert caught.value.exit_code == 2 and "did you mean 'seed'" in str(caught.value)


def test_the_command_line_uses_it(versions, monkeypatch, capsys):
    def refuse(*_, **__):
        raise UsageError("asked the api")

    for name, command in {
        "load": ["plan", "x.yaml"],
        "diff": ["diff", "x/v0001", "x"],
        "history": ["history", "x"],
    }.items():
        monkeypatch.setattr(mico.api, name, refuse)
        options = [] if name == "load" else ["--outputs", str(versions)]
        assert cli.main([*command, *options]) == 2 and "asked the api" in capsys.readouterr().err


def test_one_version_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    setup = re.search(r'version="([^"]+)"', (ROOT / "setup.py").read_text())[1]
    assert citation["version"] == setup == mico.__version__
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()


@pytest.mark.parametrize(
    ("path", "is_spec"),
    [
        ("specs/kws.yaml", True),
        ("a/specs/x.yml", True),
        ("specs/templates/host.yaml", False),
        ("hardware/x.yaml", False),
    ],
)
def test_the_hook_checks_specs(path, is_spec):
    hook = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())[0]
    assert bool(re.search(hook["files"], path)) == is_spec
    words = [*hook["entry"].split()[1:], path]
    cli.entry.parser()[0].parse_args(words)


def test_the_image_installs_the_tools_that_the_quick_start_needs():
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    runs = [line for line in lines if line.startswith("RUN")]
    assert len(runs) == 2 and all(tool in runs[0].split() for tool in ("gcc", "make"))
    assert "-c /src/constraints.txt" in runs[1] and (ROOT / "constraints.txt").exists()
    assert "FROM python:3.11" in lines[1]


@pytest.mark.nightly
def test_what_the_image_installs_works_in_a_fresh_environment(tmp_path):
    """The line of the Dockerfile that installs, run on what it would copy."""
    patterns = (ROOT / ".dockerignore").read_text().split()
    below = [pattern.removeprefix("**/") for pattern in patterns if pattern.startswith("**/")]

    def ignore(folder, names):  # a pattern without ** is one of the top folder
        return shutil.ignore_patterns(*(patterns if Path(folder) == ROOT else []), *below)(folder, names)

    shutil.copytree(ROOT, tmp_path / "src", ignore=ignore)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    line = next(line for line in (ROOT / "Dockerfile").read_text().splitlines() if line.startswith("RUN pip"))
    words = line.removeprefix("RUN ").replace("/src", str(tmp_path / "src")).split()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([tmp_path / "venv" / "bin" / words[0], *words[1:]], check=True, env=environment)
    command = [tmp_path / "venv" / "bin" / "mico-run", "plan", "quickstart"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0 and "never ran" in done.stdout, done.stderr
