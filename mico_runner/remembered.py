"""What was computed from a file, kept in the user's cache until the file changes.

    with Remembered("sha256.json") as memory:
        digest = memory(path, compute)

The file counts as unchanged while it is the same inode with the same size and times, that of the last change of status included, which
nobody can set. A damaged memory is made anew, an unwritable one only costs time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from mico_runner import durable, paths

# Memories as they were on disk, by what `stamp` said of them then; and what this process computed, whichever memory it went to.
_read: dict[Path, tuple[list[int], dict[str, Any]]] = {}
_computed: dict[tuple[str, str, str], list[Any]] = {}


class Remembered:
    """A memory of its own for each `name`, and for each `version` of what is computed."""

    def __init__(self, name: str, version: str = "1") -> None:
        self._file, self._version = paths.cache_folder() / name, version
        self._held: dict[str, list[Any]] | None = None  # read when somebody asks
        self._changed = False

    def __enter__(self) -> Remembered:
        return self

    def __exit__(self, *_: object) -> None:
        if self._changed:
            both = {**self._on_disk(), **self._known}  # another process may have written since
            known = {key: value for key, value in both.items() if os.path.exists(key)}  # it shall not grow for ever
            content = json.dumps({"version": self._version, "known": known}).encode()
            with suppress(OSError):
                self._file.parent.mkdir(parents=True, exist_ok=True)
                durable.write_checked(self._file, content)

    def __call__(self, path: Path, compute: Callable[[Path], Any]) -> Any:
        """What `compute(path)` gives, JSON-able. Raises OSError where there is no such file."""
        key, now = os.path.abspath(path), stamp(path)
        if key in self._known and self._known[key][0] == now:
            return self._known[key][1]
        here = (self._file.name, self._version, key)
        if _computed.get(here, (None,))[0] != now:
            _computed[here] = [now, compute(path)]
        self._known[key], self._changed = _computed[here], True
        return self._known[key][1]

    @property
    def _known(self) -> dict[str, list[Any]]:
        if self._held is None:
            self._held = self._on_disk()
        return self._held

    def _on_disk(self) -> dict[str, list[Any]]:
        with suppress(durable.DamagedError, ValueError, OSError, KeyError, TypeError, RecursionError):
            now = stamp(self._file)
            if _read.get(self._file, (None,))[0] != now:
                _read[self._file] = now, json.loads(durable.read_checked(self._file) or b"{}")
            held = _read[self._file][1]
            if held["version"] == self._version:
                return dict(held["known"])
        return {}


def stamp(path: Path | str) -> list[int]:
    """What changes with a file, a part of which nobody can set. Raises OSError where there is none."""
    status = os.stat(path)
    return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
