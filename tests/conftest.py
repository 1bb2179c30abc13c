"""What is compiled twice is compiled once per session, whoever asks for it: tests, `make`, CMake. No example has a time limit.

Reports are made in every run; their figures are drawn where tests look at them, for drawing takes half of a small run's time.
"""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes depends on what else the machine does.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

COMPILERS = ("gcc", "g++", "clang", "riscv64-unknown-elf-gcc", "arm-none-eabi-gcc")
DRAWN = ("cli", "docs", "outputs")  # folders of the tests that look at figures, or run as a user does
ONCE = Path(__file__).with_name("compile_once.sh")


@pytest.fixture(scope="session", autouse=True)
def objects_compiled_once(tmp_path_factory):
    """The compilers found first are compile_once.sh; what it keeps is shared by pytest-xdist's workers."""
    if not shutil.which("flock"):
        yield
        return
    base = tmp_path_factory.getbasetemp()
    kept = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "objects"
    kept.mkdir(exist_ok=True)
    tools = tmp_path_factory.mktemp("compilers")
    for name in COMPILERS:
        if real := shutil.which(name):
            lines = f'#!/bin/sh\nKEPT={shlex.quote(str(kept))} REAL={shlex.quote(real)} exec sh {shlex.quote(str(ONCE))} "$@"\n'
            (tools / name).write_text(lines, encoding="utf-8")
            (tools / name).chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
        yield


@pytest.fixture(scope="session", autouse=True)
def nothing_waits_for_the_disk():
    """No test cuts the power; that files are written before they are renamed holds without it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture(autouse=True)
def figures_are_drawn_where_they_are_looked_at(request, monkeypatch):
    if request.path.parent.name not in DRAWN:
        from matplotlib.figure import Figure

        monkeypatch.setattr(Figure, "savefig", lambda figure, into, **_: into.write("<svg></svg>"))
