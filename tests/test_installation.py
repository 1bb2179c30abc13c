"""Where the package can be installed: dependencies for later Pythons, the container for development."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LATER = ["3.12", "3.13"]


@pytest.mark.nightly
@pytest.mark.parametrize("version", LATER)
def test_every_dependency_has_a_wheel(version, tmp_path):
    """What setup.py asks for, in the versions of the tests; their own dependencies depend on the build of torch."""
    text = (ROOT / "setup.py").read_text(encoding="utf-8")
    wanted = re.findall(
        r'^        "([\w-]+[<>=~][^"]*)",', text[text.index("install_requires") : text.index("extras_require")], re.M
    )
    assert len(wanted) > 10
    pinned = ["-c", str(ROOT / "constraints.txt")]
    platform = [
        "--python-version",
        version,
        "--only-binary=:all:",
        "--platform=manylinux_2_28_x86_64",
        "--platform=manylinux2014_x86_64",
    ]
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--dry-run",
        "--no-deps",
        "--ignore-installed",
        "--target",
        str(tmp_path),
    ]
    done = subprocess.run([*command, *platform, *pinned, *wanted], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# What only a later syntax would mend: type aliases and parameters, defaults of type arguments.
LATER_SYNTAX = "UP040,UP043,UP046,UP047"


@pytest.mark.parametrize("version", LATER)
def test_the_linter_finds_nothing_for_later_pythons(version):
    target = f"py{version.replace('.', '')}"
    command = [sys.executable, "-m", "ruff", "check", "--target-version", target, "--ignore", LATER_SYNTAX]
    done = subprocess.run([*command, "mico_runner", "tests"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.nightly
@pytest.mark.parametrize("version", LATER)
def test_types_are_right_for_later_pythons(version, tmp_path):
    command = [sys.executable, "-m", "mypy", "--python-version", version, "--cache-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_container_for_development_installs_what_the_makefile_does():
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text(encoding="utf-8"))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"(setup-\w+)", container["postCreateCommand"])
    assert targets and all(f"\n{target}:" in makefile for target in targets)
    assert "python:3.11" in container["image"]
