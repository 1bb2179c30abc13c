"""Paths that a spec names."""

from __future__ import annotations

from pathlib import Path, PurePosixPath


def escapes(path: str) -> bool:
    """Whether a path leads out of the folder it starts in by way of `..`; what lies elsewhere is named by its absolute path."""
    return ".." in PurePosixPath(path).parts or "\\" in path


def is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long, a folder that may not be read
        return False
