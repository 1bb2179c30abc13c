"""Where files are: those that the project ships, in the checkout or inside the installed package, and the user's cache."""

from __future__ import annotations

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = PACKAGE.parent


def shipped(room: str) -> Path:
    """Folder of shipped files: `room` is "hardware", "datasets" or "specs"."""
    if (_CHECKOUT / "setup.py").is_file() and (_CHECKOUT / room).is_dir():
        return _CHECKOUT / room
    return PACKAGE / "share" / room


def cache_folder() -> Path:
    """~/.cache/mico-runner, or that in $XDG_CACHE_HOME."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "mico-runner"
