"""Versions on disk. A version is assembled beside its place, flushed, and renamed: it is whole or absent."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mico_runner.errors import UsageError, did_you_mean
from mico_runner.outputs.files import flush, flush_tree, sha256, write_text
from mico_runner.outputs.locks import FileLock
from mico_runner.steps.base import Metric

_VERSION = re.compile(r"v\d{4,}")
_ASSEMBLY, _TRASH = ".assembly", ".trash"


def versions(folder: Path) -> list[Path]:
    """The versions of one spec, oldest first."""
    found = [p for p in folder.iterdir() if _VERSION.fullmatch(p.name)] if folder.is_dir() else []
    return sorted(found, key=lambda p: int(p.name[1:]))


def latest(folder: Path) -> Path | None:
    """The newest version of one spec."""
    return next(reversed(versions(folder)), None)


def new_version(folder: Path, fill: Callable[[Path], None]) -> Path:
    """The next version of a spec, and `latest`: what `fill` puts into the folder it is called with.

    Args:
        folder: `<outputs>/<spec name>`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        assembly = folder / _ASSEMBLY
        shutil.rmtree(assembly, ignore_errors=True)  # of a dead process: who assembles holds the lock
        assembly.mkdir()
        try:
            fill(assembly)
            flush_tree(assembly)
            newest = latest(folder)
            version = folder / f"v{int(newest.name[1:]) + 1 if newest else 1:04d}"
            assembly.rename(version)
        except BaseException:
            shutil.rmtree(assembly, ignore_errors=True)
            raise
        link_latest(folder)
        flush(folder)
    return version


def link_latest(folder: Path) -> None:
    """Let `latest` point to the newest version, or vanish with the last one; call it with the spec's lock held."""
    newest = latest(folder)
    if newest is None:
        (folder / "latest").unlink(missing_ok=True)
        return
    link = folder / ".latest"
    link.unlink(missing_ok=True)
    link.symlink_to(newest.name)
    os.replace(link, folder / "latest")


def delete(version: Path) -> None:
    """Remove a version: gone at once under its name, whatever kills the process; call it with the spec's lock held."""
    empty_trash(version.parent)
    version.rename(version.with_name(_TRASH))
    empty_trash(version.parent)


def empty_trash(folder: Path) -> None:
    """Finish a `delete` that was cut short; call it with the spec's lock held."""
    shutil.rmtree(folder / _TRASH, ignore_errors=True)


def resolve(text: str, root: Path) -> Path:
    """The folder that `text` means: a path with a metrics.json, "name" (its newest version),
    "name/v0002", "name/latest", or "latest" (the newest version of all).

    Raises UsageError that lists the versions there are.
    """
    if text == "latest" and root.is_dir():
        everything = [v for folder in root.iterdir() for v in versions(folder)]
        if everything:
            return max(everything, key=lambda v: (v / "manifest.json").stat().st_mtime_ns).resolve()
    for path in (Path(text), root / text):
        if (path / "metrics.json").is_file():
            return path.resolve()
        newest = latest(path)
        if newest:
            return newest.resolve()
    folder = root / Path(text).parent if _VERSION.fullmatch(Path(text).name) else root / text
    known = [v.name for v in versions(folder)]
    if known:
        raise UsageError(f"no version {text!r} in {root}; there are {', '.join(known)}")
    names = sorted(p.name for p in root.iterdir() if versions(p)) if root.is_dir() else []
    raise UsageError(f"no version {text!r} in {root}{did_you_mean(text, names)} known: {', '.join(names) or 'none'}")


def metrics(version: Path) -> dict[str, Metric]:
    """The metrics of a version or baseline. Raises UsageError when the file is missing or damaged."""
    path = version / "metrics.json"
    try:
        return {name: Metric(**fields) for name, fields in json.loads(path.read_text(encoding="utf-8")).items()}
    except FileNotFoundError:
        raise UsageError(f"{version}: no metrics.json, so not a version or baseline") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"{path}: not a metrics file ({error})") from None


def write_metrics(folder: Path, values: dict[str, Metric]) -> None:
    """metrics.json, sorted by name: the same metrics give the same bytes."""
    content = {name: values[name].to_json() for name in sorted(values)}
    write_text(folder / "metrics.json", json.dumps(content, indent=1, allow_nan=False) + "\n")


def manifest(version: Path) -> dict[str, Any]:
    """manifest.json of a version."""
    return json.loads((version / "manifest.json").read_text(encoding="utf-8"))


def artifact_hashes(folder: Path) -> dict[str, str]:
    """sha256 of every file below `folder` but manifest.json itself, by its path."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / "manifest.json")
    return {str(p.relative_to(folder)): sha256(p) for p in files}


def verify(version: Path) -> list[str]:
    """What is wrong with a version, by its manifest: missing, changed and unknown files; empty when it is whole."""
    if not (version / "manifest.json").is_file():
        return [f"{version}: no manifest.json"]
    wanted, found = manifest(version)["artifacts"], artifact_hashes(version)
    problems = [f"missing: {name}" for name in wanted if name not in found]
    problems += [f"changed: {name}" for name in wanted if found.get(name, wanted[name]) != wanted[name]]
    return problems + [f"unknown: {name}" for name in found if name not in wanted]


def save_baseline(version: Path, folder: Path) -> None:
    """Copy what `diff` and a re-run need, metrics without the volatile ones and the resolved spec, to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_metrics(folder, {name: m for name, m in metrics(version).items() if not m.volatile})
    shutil.copyfile(version / "spec.resolved.yaml", folder / "spec.resolved.yaml")
