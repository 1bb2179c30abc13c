"""Finished steps by fingerprint: `<outputs>/.cache/<step>/<fingerprint>/` holds `artifacts/` and `step.json`.

An entry is written beside its place, flushed to disk, and renamed: it is whole or absent. Beside it may lie
`<fingerprint>.work/` (what an interrupted step wants to find again), `.tmp/` (being written), `.old/` (being deleted) and `.lock`.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mico_runner.outputs.files import flush, flush_tree, write_text
from mico_runner.outputs.locks import FileLock

_POLL_SECONDS = 0.05


class Entry:
    """The place of one step's result; nothing need be there yet."""

    def __init__(self, outputs: Path, step: str, fingerprint: str) -> None:
        self.folder = outputs / ".cache" / step / fingerprint
        self.artifacts = self.folder / "artifacts"
        self.work = self.folder.with_name(f"{fingerprint}.work")
        self._temporary = self.folder.with_name(f"{fingerprint}.tmp")
        self._old = self.folder.with_name(f"{fingerprint}.old")
        self._lock = FileLock(self.folder.with_name(f"{fingerprint}.lock"))

    @property
    def finished(self) -> bool:
        return (self.folder / "step.json").is_file()

    @property
    def interrupted(self) -> bool:
        """Whether an earlier run left something to continue from."""
        return self.work.is_dir()

    def record(self) -> dict[str, Any]:
        """What `finish` was given: metrics, seconds, log."""
        return json.loads((self.folder / "step.json").read_text(encoding="utf-8"))

    def claim(self, again: bool, waiting: Callable[[], None]) -> bool:
        """Lock the entry: True when the caller has it alone and is to compute it, False when it is finished and shared.

        Args:
            again: compute it although it is finished.
            waiting: called once when another run is in the way.
        """
        told = False
        while True:
            if not again and self.finished and self._lock.acquire(shared=True, wait=False):
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
        self.discard(work=afresh)
        (self._temporary / "artifacts").mkdir(parents=True)
        self.work.mkdir(exist_ok=True)
        return self._temporary / "artifacts"

    def discard(self, work: bool = False) -> None:
        """Drop what a failed or killed step wrote; its work folder stays unless `work`."""
        if work:
            shutil.rmtree(self.work, ignore_errors=True)
        shutil.rmtree(self._temporary, ignore_errors=True)
        shutil.rmtree(self._old, ignore_errors=True)

    def finish(self, record: dict[str, Any]) -> None:
        """Make the artifacts the entry, replacing an older one, and drop the work folder."""
        write_text(self._temporary / "step.json", json.dumps(record, indent=1, sort_keys=True))
        flush_tree(self._temporary)
        if self.folder.exists():
            self.folder.rename(self._old)
        self._temporary.rename(self.folder)
        flush(self.folder.parent)
        shutil.rmtree(self._old, ignore_errors=True)
        shutil.rmtree(self.work, ignore_errors=True)


def sweep(outputs: Path) -> None:
    """Delete what dead processes left in the cache and nobody will continue from."""
    for leftover in (outputs / ".cache").glob("*/*.*"):
        done = leftover.suffix == ".work" and leftover.with_suffix("").is_dir()
        if not done and leftover.suffix not in (".tmp", ".old"):
            continue
        lock = FileLock(leftover.with_suffix(".lock"))
        if lock.acquire(wait=False):
            shutil.rmtree(leftover, ignore_errors=True)
            lock.release()
