"""Finished steps by fingerprint: `<outputs>/.cache/<step>/<fingerprint>/` holds `artifacts/` and `step.json`.

An entry is written beside its place, flushed to disk, and renamed: it is whole or absent. Beside it may lie
`<fingerprint>.work/` (what an interrupted step wants to find again), `.tmp/` (being written) and `.lock`.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from filelock import FileLock

from mico_runner.outputs.files import flush_tree, write_text


class Entry:
    """The place of one step's result; nothing need be there yet."""

    def __init__(self, outputs: Path, step: str, fingerprint: str) -> None:
        self.folder = outputs / ".cache" / step / fingerprint
        self.artifacts = self.folder / "artifacts"
        self.work = self.folder.with_name(f"{fingerprint}.work")
        self._temporary = self.folder.with_name(f"{fingerprint}.tmp")

    @property
    def finished(self) -> bool:
        return (self.folder / "step.json").is_file()

    def record(self) -> dict[str, Any]:
        """What `finish` was given: metrics, seconds, log."""
        return json.loads((self.folder / "step.json").read_text(encoding="utf-8"))

    def lock(self) -> FileLock:
        """Held while the step is computed, so that two runs at once compute it once."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(self.folder.with_name(f"{self.folder.name}.lock"))

    def begin(self) -> Path:
        """An empty folder for the artifacts; call with the lock held: what lies there is of a dead process."""
        shutil.rmtree(self._temporary, ignore_errors=True)
        (self._temporary / "artifacts").mkdir(parents=True)
        self.work.mkdir(parents=True, exist_ok=True)
        return self._temporary / "artifacts"

    def finish(self, record: dict[str, Any]) -> None:
        """Make the artifacts the entry, replacing an older one, and drop the work folder."""
        write_text(self._temporary / "step.json", json.dumps(record, indent=1, sort_keys=True))
        flush_tree(self._temporary)
        if self.folder.exists():
            old = self.folder.with_name(f"{self.folder.name}.old")
            shutil.rmtree(old, ignore_errors=True)
            self.folder.rename(old)
            shutil.rmtree(old)
        self._temporary.rename(self.folder)
        shutil.rmtree(self.work, ignore_errors=True)
