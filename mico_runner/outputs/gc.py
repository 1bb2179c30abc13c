"""Deletes old versions, and the cached results that no remaining version uses."""

from __future__ import annotations

import shutil
from pathlib import Path

from filelock import FileLock, Timeout

from mico_runner.outputs import store


def gc(root: Path, keep: int = 3, dry_run: bool = False) -> list[Path]:
    """Keep the newest `keep` versions of each spec and what they need of the cache; returns what goes.

    Baselines stay. A cache entry whose lock a run holds, and the work folder of such a run, stay too.
    """
    specs = [p for p in root.iterdir() if p.is_dir() and store.versions(p)] if root.is_dir() else []
    doomed = [v for spec in specs for v in store.versions(spec)[: -keep or None]]
    kept = [v for spec in specs for v in store.versions(spec) if v not in doomed]
    used = {(s, a["fingerprint"]) for v in kept for s, a in store.manifest(v)["steps"].items() if a["fingerprint"]}
    entries = sorted(p for p in (root / ".cache").glob("*/*") if p.is_dir())
    for folder in entries:
        if (folder.parent.name, folder.name.split(".")[0]) not in used and not _busy(folder):
            doomed.append(folder)
    for folder in [] if dry_run else doomed:
        shutil.rmtree(folder)
        if folder.parent.parent.name == ".cache":
            folder.with_name(folder.name.split(".")[0] + ".lock").unlink(missing_ok=True)
    for spec in [] if dry_run else specs:
        newest = store.latest(spec)
        if newest is None:
            (spec / "latest").unlink(missing_ok=True)
    return doomed


def _busy(folder: Path) -> bool:
    try:
        with FileLock(folder.with_name(folder.name.split(".")[0] + ".lock"), timeout=0):
            return False
    except Timeout:
        return True
