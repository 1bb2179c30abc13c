"""Kernels are compiled once per session for each set of flags, not once per test."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

COMPILER = Path(__file__).with_name("compile_once.sh")


@pytest.fixture(scope="session", autouse=True)
def kernels_compiled_once(tmp_path_factory):
    """`make` and the fuzz driver compile by compile_once.sh; its objects are shared by pytest-xdist's workers."""
    base = tmp_path_factory.getbasetemp()
    if not (shutil.which("gcc") and shutil.which("flock")):
        yield
        return
    objects = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "objects"
    objects.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KEPT_OBJECTS", str(objects))
        patch.setenv("CC", str(COMPILER))  # of the fuzz driver
        patch.setenv("MAKEFLAGS", f"CC={COMPILER}")  # CC=clang on a command line comes before it
        yield
