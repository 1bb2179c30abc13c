"""`latest`, the link to the newest version, and what copying makes of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from mico_runner.errors import UsageError
from mico_runner.outputs.files import hashes

_LONGEST = 100  # bytes of a link written as a file; a name of a version is much shorter


def check(place: Path, versions: Sequence[Path]) -> None:
    """Raise UsageError when something of the user's own is there, which `point` would delete."""
    if _is_in_the_way(place) and not _is_copy(place, versions):
        raise UsageError(
            f"{place} is neither a link nor a copy of a version; move it away:"
            " its place is that of the link to the newest version"
        )


def point(place: Path, newest: Path | None) -> None:
    """Let the link point to `newest`, or vanish; a copy of a version in its place goes."""
    link, copy = place.with_name(".latest"), place.with_name(".latest.old")
    shutil.rmtree(copy, ignore_errors=True)  # of a dead process
    if _is_in_the_way(place) and place.is_dir():
        place.rename(copy)
    if newest is None:
        place.unlink(missing_ok=True)
    else:
        link.unlink(missing_ok=True)
        link.symlink_to(newest.name)
        os.replace(link, place)
    shutil.rmtree(copy, ignore_errors=True)


def _is_in_the_way(place: Path) -> bool:
    return os.path.lexists(place) and not place.is_symlink()


def _is_copy(place: Path, versions: Sequence[Path]) -> bool:
    """Whether all that is there is in a version too.

    Copied with links followed, the link has become a folder; by tools that know no links, a file with the name of a version.
    """
    if place.is_file():
        with place.open("rb") as file:
            held = file.read(_LONGEST).strip().decode("ascii", "replace")
        return held in [version.name for version in versions]
    if not place.is_dir() or any(not (p.is_file() or p.is_dir()) for p in place.rglob("*")):
        return False
    files = hashes(place)
    return not files or any(files.items() <= hashes(version).items() for version in reversed(versions))
