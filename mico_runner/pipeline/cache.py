"""Finished steps by fingerprint: `<outputs>/.cache/<step>/<fingerprint>/` holds `artifacts/` and `step.json`.

An entry is written beside its place, flushed to disk, and renamed: it is whole or absent. Beside it may lie
`<fingerprint>.work/` (what an interrupted step wants to find again), `.tmp/` (being written), `.old/` (being deleted) and `.lock`.

`step.json` holds the step and fingerprint that it belongs to, a sum of itself and one of every artifact. Whoever wants to use an entry
checks them all; one that does not match counts as not finished.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from mico_runner import durable
from mico_runner.outputs.files import flush, flush_tree, write_text
from mico_runner.outputs.locks import FileLock
from mico_runner.pipeline.fingerprint import canonical

_POLL_SECONDS = 0.05
_RECORD = "step.json"


class Entry:
    """The place of one step's result; nothing need be there yet."""

    def __init__(self, outputs: Path, step: str, fingerprint: str) -> None:
        self.folder = outputs / ".cache" / step / fingerprint
        self.artifacts = self.folder / "artifacts"
        self.work = self.folder.with_name(f"{fingerprint}.work")
        self._temporary = self.folder.with_name(f"{fingerprint}.tmp")
        self._old = self.folder.with_name(f"{fingerprint}.old")
        self._lock = FileLock(self.folder.with_name(f"{fingerprint}.lock"))
        self._owner = f"{step}/{fingerprint}"

    @property
    def finished(self) -> bool:
        """Whether the result is there, whole and as it was written. Reads all of it."""
        return self.folder.is_dir() and not self.damage()

    @property
    def interrupted(self) -> bool:
        """Whether an earlier run left something to continue from."""
        return self.work.is_dir()

    def record(self) -> dict[str, Any]:
        """What `finish` was given, and "artifacts": what `durable.contents` says of them. Raises `durable.DamagedError`."""
        try:
            record: dict[str, Any] = json.loads((self.folder / _RECORD).read_text(encoding="utf-8"))
            found = record.pop("sum")
            whole = found == _sum(record)
        except FileNotFoundError:
            raise durable.DamagedError(f"{_RECORD} is missing") from None
        except OSError as error:
            raise durable.DamagedError(f"{_RECORD} cannot be read: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            whole = False
        if not whole:
            raise durable.DamagedError(f"{_RECORD} is not what was written")
        if record["of"] != self._owner:
            raise durable.DamagedError(f"{_RECORD} belongs to {record['of']}")
        return record

    def damage(self) -> str:
        """What is wrong with the result, in words; "" when it is whole or not there at all."""
        if not self.folder.exists():
            return ""
        try:
            return durable.damage(self.artifacts, self.record()["artifacts"])
        except durable.DamagedError as damage:
            return str(damage)

    def claim(self, again: bool, waiting: Callable[[], None]) -> bool:
        """Lock the entry: True when the caller has it alone and is to compute it, False when it is finished and shared.

        Args:
            again: compute it although it is finished.
            waiting: called once when another run is in the way.
        """
        told = False
        while True:
            if not again and self.folder.is_dir() and self._lock.acquire(shared=True, wait=False):
                if self.finished:
                    return False
                self._lock.release()
            if self._lock.acquire(wait=False):
                if again or not self.finished:
                    return True
                self._lock.release()
                continue
            if not told:
                waiting()
                told = True
            time.sleep(_POLL_SECONDS)

    def share(self) -> None:
        """From alone to shared: the result is there for others to read, and stays until `release`."""
        self._lock.acquire(shared=True)

    def release(self) -> None:
        self._lock.release()

    def begin(self, afresh: bool = False) -> Path:
        """An empty folder for the artifacts; call with the entry claimed: what lies there is of a dead process.

        Args:
            afresh: do not continue from what an interrupted run left.
        """
        self.discard(work=afresh or not self.work.is_dir())
        (self._temporary / "artifacts").mkdir(parents=True)
        self.work.mkdir(exist_ok=True)
        return self._temporary / "artifacts"

    def discard(self, work: bool = False) -> None:
        """Drop what a failed or killed step wrote; its work folder stays unless `work`."""
        for path in (self._temporary, self._old, *([self.work] if work else [])):
            _delete(path)

    def finish(self, record: dict[str, Any]) -> None:
        """Make the artifacts the entry, replacing an older one, and drop the work folder."""
        flush_tree(self._temporary)
        record = {**record, "of": self._owner, "artifacts": durable.contents(self._temporary / "artifacts")}
        record = json.loads(canonical(record))
        write_text(self._temporary / _RECORD, json.dumps({**record, "sum": _sum(record)}, indent=1, sort_keys=True))
        flush(self._temporary)
        if os.path.lexists(self.folder):
            self.folder.rename(self._old)
        self._temporary.rename(self.folder)
        flush(self.folder.parent)
        _delete(self._old)
        _delete(self.work)


def _sum(record: dict[str, Any]) -> str:
    return hashlib.sha256(canonical(record).encode()).hexdigest()


def _delete(path: Path) -> None:
    """Remove what may be a file, a folder or nothing; what cannot be removed is in nobody's way, or `finish` says so."""
    with suppress(OSError):
        durable.remove(path)


def sweep(outputs: Path) -> None:
    """Delete what dead processes left in the cache and nobody will continue from."""
    for leftover in (outputs / ".cache").glob("*/*.*"):
        done = leftover.suffix == ".work" and leftover.with_suffix("").is_dir()
        if not done and leftover.suffix not in (".tmp", ".old"):
            continue
        lock = FileLock(leftover.with_suffix(".lock"))
        if lock.acquire(wait=False):
            _delete(leftover)
            lock.release()
