"""Deletes old versions, and the cached results that no remaining version uses; runs may go on meanwhile."""

from __future__ import annotations

import shutil
from pathlib import Path

from mico_runner.errors import UsageError
from mico_runner.outputs import store
from mico_runner.outputs.locks import FileLock

Needs = set[tuple[str, str]]  # step and fingerprint of results


def gc(root: Path, keep: int = 3, dry_run: bool = False) -> list[Path]:
    """Keep the newest `keep` versions of each spec and what they need of the cache; returns what goes (or would go).

    Baselines stay, and so does what a run in progress computes or reads, and what it writes meanwhile. Raises UsageError, before
    anything is deleted, for a negative `keep`, a damaged manifest of a version to keep, and as `store.check` does.
    """
    if keep < 0:
        raise UsageError(f"gc keeps a number of versions, at least 0; got {keep}")
    kept = _Kept(root)
    for spec in _specs(root):
        store.check_latest(spec) if dry_run else store.check(spec, (root / ".cache").glob("*"))
        kept.without |= set(store.versions(spec)[: -keep or None])
    kept.needs()
    gone = [version for spec in _specs(root) for version in _old_versions(spec, keep, dry_run)]
    kept.without = set(gone) if dry_run else set()  # a run may have taken the name of the deleted one
    return gone + _unused_results(root / ".cache", kept, dry_run)


def _specs(root: Path) -> list[Path]:
    """Folders of versions: of each spec, and of each cell of a sweep."""
    places = [*root.iterdir(), *root.glob(f"*/{store.CELLS}/*")] if root.is_dir() else []
    return sorted(p for p in places if p.is_dir() and store.versions(p))


class _Kept:
    """The versions that there are at a moment, `without` some."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.without: set[Path] = set()
        self._known: dict[tuple[Path, int], Needs] = {}

    def needs(self) -> Needs:
        """What the versions need that there are now. Raises UsageError for a damaged manifest."""
        now = [v for spec in _specs(self.root) for v in store.versions(spec) if v not in self.without]
        return set().union(*map(self._needs_of, now))

    def _needs_of(self, version: Path) -> Needs:
        key = (version, store.created(version))
        if key not in self._known:
            try:
                steps = store.manifest(version)["steps"]
            except UsageError:
                if version.exists():
                    raise
                return set()  # another gc has deleted it
            self._known[key] = {(step, str(about.get("fingerprint"))) for step, about in steps.items()}
        return self._known[key]


def _old_versions(spec: Path, keep: int, dry_run: bool) -> list[Path]:
    if dry_run:  # writes nothing, not even a lock's file
        return store.versions(spec)[: -keep or None]
    with FileLock(spec / ".lock"):
        old = store.versions(spec)[: -keep or None]
        store.empty_trash(spec)
        for version in old:
            store.delete(version)
        store.link_latest(spec)
    return old


def _unused_results(cache: Path, kept: _Kept, dry_run: bool) -> list[Path]:
    """Entries, and the work and temporary folders beside them, that no version needs and nobody has locked.

    A run gives its lock back only after its version is written: what versions need is asked anew with the lock at hand.
    """
    gone, needed = [], kept.needs()
    for folder in sorted(p for p in cache.glob("*/*") if p.is_dir()):
        fingerprint = folder.name.split(".")[0]
        result = (folder.parent.name, fingerprint)
        if result in needed and not folder.suffix:
            continue
        lock = FileLock(folder.with_name(f"{fingerprint}.lock"))
        if (lock.path.exists() or not dry_run) and not lock.acquire(wait=False):  # without a file nobody holds it
            continue
        try:
            if folder.is_dir() and (
                folder.suffix or result not in kept.needs()
            ):  # it may have gone or be needed meanwhile
                gone.append(folder)
                if not dry_run:
                    _remove(folder)
            if not dry_run and not any(folder.parent.glob(f"{fingerprint}*/")):
                lock.delete()
        finally:
            lock.release()
    return gone


def _remove(folder: Path) -> None:
    """A finished entry loses its name first: half of it never passes for the whole."""
    if not folder.suffix:
        old = folder.with_name(f"{folder.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        folder = folder.rename(old)
    shutil.rmtree(folder)
