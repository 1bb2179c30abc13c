"""Test benches that verilator has built, kept until what they are made of changes."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

BENCH = "bench"  # the program, in its folder


def kept(home: Path, build: Callable[[Path], Path]) -> Path:
    """The program in the folder `home`, whose name is of all that it depends on.

    Args:
        build: makes the program, within a folder that is not there yet, and returns its path; called where there is none.
    """
    if (home / BENCH).is_file():
        return home / BENCH
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=home.parent) as scratch:
        made, done = build(Path(scratch) / "work"), Path(scratch) / "done"
        done.mkdir()
        shutil.copy2(made, done / BENCH)
        try:
            done.rename(home)
        except OSError:  # another process has built the same meanwhile
            if not (home / BENCH).is_file():
                raise
    return home / BENCH
