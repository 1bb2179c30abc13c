"""Deletes old versions, and the cached results that no remaining version uses."""

from __future__ import annotations

import shutil
from pathlib import Path

from mico_runner.errors import UsageError
from mico_runner.outputs import store
from mico_runner.outputs.locks import FileLock


def gc(root: Path, keep: int = 3, dry_run: bool = False) -> list[Path]:
    """Keep the newest `keep` versions of each spec and what they need of the cache; returns what goes (or would go).

    Baselines stay, and so does what a run in progress computes or reads. Raises UsageError for a negative `keep`.
    """
    if keep < 0:
        raise UsageError(f"gc keeps a number of versions, at least 0; got {keep}")
    specs = sorted(p for p in root.iterdir() if p.is_dir() and store.versions(p)) if root.is_dir() else []
    kept = [version for spec in specs for version in store.versions(spec)[-keep:] if keep]
    gone = [version for spec in specs for version in _old_versions(spec, keep, dry_run)]
    used = {(s, a["fingerprint"]) for v in kept for s, a in store.manifest(v)["steps"].items() if a["fingerprint"]}
    return gone + _unused_results(root / ".cache", used, dry_run)


def _old_versions(spec: Path, keep: int, dry_run: bool) -> list[Path]:
    with FileLock(spec / ".lock"):
        old = store.versions(spec)[: -keep or None]
        if not dry_run:
            store.empty_trash(spec)
            for version in old:
                store.delete(version)
            store.link_latest(spec)
    return old


def _unused_results(cache: Path, used: set[tuple[str, str]], dry_run: bool) -> list[Path]:
    """Entries, and the work and temporary folders beside them, that are neither in `used` nor locked."""
    gone = []
    for folder in sorted(p for p in cache.glob("*/*") if p.is_dir()):
        fingerprint = folder.name.split(".")[0]
        if (folder.parent.name, fingerprint) in used and not folder.suffix:
            continue
        lock = FileLock(folder.with_name(f"{fingerprint}.lock"))
        if lock.acquire(wait=False):
            gone.append(folder)
            if not dry_run:
                shutil.rmtree(folder)
            unneeded = not dry_run and not any(folder.parent.glob(f"{fingerprint}*/"))
            lock.delete() if unneeded else lock.release()
    return gone
