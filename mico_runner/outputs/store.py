"""Versions on disk. A version is assembled beside its place, flushed, and renamed: it is whole or absent."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypedDict, cast

from mico_runner.errors import UsageError, did_you_mean
from mico_runner.outputs import latest_link
from mico_runner.outputs.files import flush, flush_tree, hashes, write_text
from mico_runner.outputs.json_files import kind, read_object
from mico_runner.outputs.locks import FileLock
from mico_runner.steps.base import Metric

_VERSION = re.compile(r"v[0-9]{4,}")
_ASSEMBLY, _TRASH, _LATEST = ".assembly", ".trash", "latest"
_BASELINES = "baselines"
CELLS = "cells"  # folder of a sweep with the versions of each cell
_SUFFIXES = (".lock", ".tmp", ".old", ".work")


def clash(name: str, steps: Iterable[str]) -> str:
    """What a spec's name means in the outputs folder already; "" when it is free.

    Args:
        steps: names of steps: the versions of `--only fit` are those of `<name>.fit`.
    """
    if name == _LATEST:
        return "latest means the newest version"
    if name == _BASELINES:
        return "outputs/baselines holds the baselines"
    if _VERSION.fullmatch(name):
        return f"{name} is the name of a version"
    for step in steps:
        if name.endswith(f".{step}"):
            return f"versions of --only {step} are called so"
    return next(
        (f"names in {suffix} are kept for temporary files" for suffix in _SUFFIXES if name.endswith(suffix)), ""
    )


def versions(folder: Path) -> list[Path]:
    """The versions of one spec, oldest first."""
    return [p for p in _numbered(folder) if p.is_dir()]


def _numbered(folder: Path) -> list[Path]:
    """What has the name of a version, whatever it is."""
    found = [p for p in folder.iterdir() if _VERSION.fullmatch(p.name)] if folder.is_dir() else []
    return sorted(found, key=lambda p: int(p.name[1:]))


def latest(folder: Path) -> Path | None:
    """The newest version of one spec."""
    return next(reversed(versions(folder)), None)


def check(folder: Path, others: Iterable[Path] = ()) -> None:
    """Raise UsageError when no new version of a spec could be written, or nothing into `others`; creates nothing."""
    for path in (folder, *others):
        place = next(p for p in (path, *path.absolute().parents) if os.path.lexists(p))
        if not place.is_dir():
            raise UsageError(f"{place} is no folder; --outputs names another place for results")
        if not os.access(place, os.W_OK | os.X_OK):
            raise UsageError(f"{place} may not be written; --outputs names another place for results")
    check_latest(folder)


def check_latest(folder: Path) -> None:
    """Raise UsageError when something of the user's own has the place of the link `latest`."""
    latest_link.check(folder / _LATEST, versions(folder))


def link_latest(folder: Path) -> None:
    """Let `latest` point to the newest version, or vanish with the last one; call it with the spec's lock held."""
    latest_link.point(folder / _LATEST, latest(folder))


def new_version(folder: Path, fill: Callable[[Path], None]) -> Path:
    """The next version of a spec, and `latest`: what `fill` puts into the folder it is called with.

    Args:
        folder: `<outputs>/<spec name>`.

    Raises UsageError as `check_latest` does, before anything is written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        check_latest(folder)
        assembly = folder / _ASSEMBLY
        shutil.rmtree(assembly, ignore_errors=True)  # of a dead process: who assembles holds the lock
        assembly.mkdir()
        try:
            fill(assembly)
            flush_tree(assembly)
            newest = next(reversed(_numbered(folder)), None)
            version = folder / f"v{int(newest.name[1:]) + 1 if newest else 1:04d}"
            assembly.rename(version)
        except BaseException:
            shutil.rmtree(assembly, ignore_errors=True)
            raise
        link_latest(folder)
        flush(folder)
    return version


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
    try:
        return _resolve(text, root)
    except (OSError, ValueError) as error:  # may not be read, is too long, holds a zero byte, ...
        raise UsageError(f"no version {text!r} in {root}: {getattr(error, 'strerror', None) or error}") from None


def _resolve(text: str, root: Path) -> Path:
    if text == _LATEST and root.is_dir():
        everything = [v for folder in root.iterdir() if os.access(folder, os.R_OK | os.X_OK) for v in versions(folder)]
        if everything:
            return max(everything, key=created).resolve()
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


def created(version: Path) -> int:
    """When its manifest was written, ns since 1970; 0 without one."""
    try:
        return (version / "manifest.json").stat().st_mtime_ns
    except (FileNotFoundError, NotADirectoryError):  # deleted meanwhile, or not whole
        return 0


def metrics(version: Path) -> dict[str, Metric]:
    """The metrics of a version or baseline. Raises UsageError when the file is missing, or says what no step would write."""
    path = version / "metrics.json"
    found = {}
    for name, fields in read_object(path, "metrics").items():
        try:
            if not isinstance(fields, dict):
                raise ValueError(f"found {kind(fields)}; allowed: an object")
            unknown = sorted(fields.keys() - _FIELDS)
            if unknown:
                raise ValueError(
                    f"unknown key {unknown[0]!r}{did_you_mean(unknown[0], _FIELDS)} allowed: {', '.join(_FIELDS)}"
                )
            missing = [key for key in ("value", "unit") if key not in fields]
            if missing:
                raise ValueError(f"no {missing[0]}")
            found[name] = Metric(**fields)
        except ValueError as error:
            raise UsageError(f"{path}: metric {name!r}: {error}") from None
    return found


_FIELDS = [field.name for field in dataclasses.fields(Metric)]


def write_metrics(folder: Path, values: dict[str, Metric]) -> None:
    """metrics.json, sorted by name: the same metrics give the same bytes."""
    content = {name: values[name].to_json() for name in sorted(values)}
    write_text(folder / "metrics.json", json.dumps(content, indent=1, allow_nan=False) + "\n")


class Manifest(TypedDict, total=False):
    """manifest.json, the record of a version. What is read again may lack keys: it may be of another release.

    Attributes:
        steps: what ran, by step: its fingerprint, times, metrics and versions of libraries.
        cells: of a sweep, how each ended.
        artifacts: sha256 of every file but this one.
    """

    name: str
    seed: int
    created: str
    environment: dict[str, Any]
    report_template: str
    steps: dict[str, dict[str, Any]]
    broken_gates: list[dict[str, Any]]
    cells: dict[str, dict[str, Any]]
    artifacts: dict[str, str]


def manifest(version: Path) -> Manifest:
    """manifest.json of a version. Raises UsageError when it is missing or damaged."""
    found = read_object(version / "manifest.json", "manifest")
    steps, artifacts = found.get("steps"), found.get("artifacts", {})
    if not isinstance(steps, dict) or not all(isinstance(about, dict) for about in steps.values()):
        raise UsageError(f"{version / 'manifest.json'}: not a manifest file (steps: allowed: an object of objects)")
    if not isinstance(artifacts, dict):
        raise UsageError(f"{version / 'manifest.json'}: not a manifest file (artifacts: allowed: an object)")
    return cast(Manifest, found)


def record(version: Path, step: str) -> dict[str, Any] | None:
    """What a version's manifest says about a step; None when it says nothing, is damaged, or was deleted meanwhile."""
    try:
        found: dict[str, Any] | None = manifest(version)["steps"].get(step)
        return found
    except UsageError:
        return None


def artifact_hashes(folder: Path) -> dict[str, str]:
    """sha256 of every file below `folder` but manifest.json itself, by its path."""
    return {name: digest for name, digest in hashes(folder).items() if name != "manifest.json"}


def verify(version: Path) -> list[str]:
    """What is wrong with a version, by its manifest: missing, changed and unknown files; empty when it is whole."""
    try:
        wanted, found = manifest(version).get("artifacts", {}), artifact_hashes(version)
    except UsageError as error:
        return [str(error)]
    problems = [f"missing: {name}" for name in wanted if name not in found]
    problems += [f"changed: {name}" for name in wanted if found.get(name, wanted[name]) != wanted[name]]
    return problems + [f"unknown: {name}" for name in found if name not in wanted]
