"""Where the files that the project ships are: in the checkout, or inside the installed package."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = _PACKAGE.parent


def shipped(room: str) -> Path:
    """Folder of shipped files: `room` is "hardware", "datasets" or "specs"."""
    if (_CHECKOUT / "setup.py").is_file() and (_CHECKOUT / room).is_dir():
        return _CHECKOUT / room
    return _PACKAGE / "share" / room
