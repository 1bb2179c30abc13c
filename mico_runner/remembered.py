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

# Memories as they were on disk, by what `_stamp` said of them then.
_read: dict[Path, tuple[list[int], dict[str, Any]]] = {}


class Remembered:
    """A memory of its own for each `name`, and for each `version` of what is computed."""

    def __init__(self, name: str, version: str = "1") -> None:
        self._file, self._version = paths.cache_folder() / name, version
        self._known: dict[str, list[Any]] = {}
        self._changed = False

    def __enter__(self) -> Remembered:
        with suppress(durable.DamagedError, ValueError, OSError, KeyError, TypeError, RecursionError):
            stamp = _stamp(self._file)
            if _read.get(self._file, (None,))[0] != stamp:
                _read[self._file] = stamp, json.loads(durable.read_checked(self._file) or b"{}")
            held = _read[self._file][1]
            if held["version"] == self._version:
                self._known = dict(held["known"])
        return self

    def __exit__(self, *_: object) -> None:
        if self._changed:
            known = {
                key: value for key, value in self._known.items() if os.path.exists(key)
            }  # it shall not grow for ever
            content = json.dumps({"version": self._version, "known": known}).encode()
            with suppress(OSError):
                self._file.parent.mkdir(parents=True, exist_ok=True)
                durable.write_checked(self._file, content)

    def __call__(self, path: Path, compute: Callable[[Path], Any]) -> Any:
        """What `compute(path)` gives, JSON-able. Raises OSError where there is no such file."""
        key, stamp = os.path.abspath(path), _stamp(path)
        if key in self._known and self._known[key][0] == stamp:
            return self._known[key][1]
        value = compute(path)
        self._known[key], self._changed = [stamp, value], True
        return value


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
