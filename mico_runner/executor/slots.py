"""How many processes may work at once, shared by all of a run: one that works holds a slot, a file's lock.

So a step that has work for several takes what its run has left over, and no more; the kernel frees the slots of a process that dies.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mico_runner.outputs.locks import FileLock


@dataclass(frozen=True)
class Slots:
    """Attributes: folder: of the lock files; count: of slots."""

    folder: Path
    count: int

    def take(self) -> FileLock | None:
        """A slot, held until its `release`; None: all are taken."""
        for number in range(self.count):
            lock = FileLock(self.folder / f"slot{number}")
            if lock.acquire(wait=False):
                return lock
        return None


ALONE = Slots(Path(), 0)  # of what has no processes to share
