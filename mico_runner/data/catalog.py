"""The catalog of data sets (`datasets/catalog.yaml`) and the way from a name to checked files.

A file is looked for in the checkout's `datasets/` (what the project ships), then in $MICO_DATA_DIR, the cache
(~/.cache/mico-runner, or $XDG_CACHE_HOME/mico-runner), the mirror folder $MICO_DATA_MIRROR, then on the network. Its sha256 is always
checked; the outcome is remembered until the file changes, so that a second look costs nothing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import urllib.parse
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import yaml

from mico_runner import paths
from mico_runner.data.files import opened
from mico_runner.errors import UnknownName, UsageError
from mico_runner.paths import cache_folder
from mico_runner.remembered import Remembered

NETWORK_TIMEOUT_S = 30


@dataclass(frozen=True)
class DataFile:
    """One file: `path` inside the mirror, or inside `datasets/` when the project ships it."""

    path: str
    sha256: str | None = None
    shipped: bool = False


@dataclass(frozen=True)
class Entry:
    """One data set of the catalog.

    Attributes:
        kind: "task", "kernel_profile", "subgraph_profile", "network_profile", "training_trace", "design_table",
            "network", "tokenizer", "text", "table" or "reference".
        source: where it comes from: address or publication, with the commit.
        url: prefix of the network address, to which a file's own name is appended; None when it cannot be downloaded.
        schema: the meaning of the files, for data without a loader of its own.
        unit, device: of a profile's latencies ("cycles", "ns"), and the machine they belong to.
        scratch: `codegen.scratch` of the kernels of a profile; None where they have no choice.
        kernel, header, columns, fill: how a profile's CSV maps to the kernel table; empty for files that have its
            column names already, with the latency in `latency_<unit>`.
        loader, loader_params: the `data.LOADERS` entry that reads a task.
        task_kind: what a network learns from it, where a spec does not say; None: classification.
    """

    name: str
    kind: str
    description: str
    source: str
    licence: str
    files: tuple[DataFile, ...]
    url: str | None = None
    schema: str = ""
    notes: str = ""
    unit: str | None = None
    device: str | None = None
    scratch: str | None = None
    kernel: str | None = None
    header: str | None = None
    columns: tuple[str, ...] = ()
    fill: dict[str, int | str] = field(default_factory=dict)
    loader: str | None = None
    task_kind: str | None = None
    loader_params: dict[str, object] = field(default_factory=dict)


@cache
def _entries() -> dict[str, Entry]:
    text = (paths.shipped("datasets") / "catalog.yaml").read_text(encoding="utf-8")
    raw = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))["datasets"]
    entries = {}
    for name, keys in raw.items():
        files = tuple(DataFile(**file) for file in keys.pop("files"))
        columns = tuple(keys.pop("columns", ()))
        entries[name] = Entry(name=name, files=files, columns=columns, **keys)
    return entries


def names(kind: str | None = None) -> list[str]:
    """Names of all data sets, or of those of one kind, sorted."""
    return sorted(name for name, entry in _entries().items() if kind in (None, entry.kind))


def entry(name: str, kind: str | None = None) -> Entry:
    """The catalog's entry. Raises UnknownName, with the names of that kind when `kind` is given."""
    found = _entries().get(name)
    if found is None or kind not in (None, found.kind):
        raise UnknownName(f"data set of kind {kind}" if kind else "data set", name, names(kind))
    return found


def fetch(name: str) -> list[Path]:
    """The data set's files, in the catalog's order, sha256 checked.

    Raises UnknownName, or UsageError naming every place looked in, or the file whose sum is wrong.
    """
    return [_find(entry(name), file) for file in entry(name).files]


def check_present(name: str) -> None:
    """Raise UsageError when a file of the data set is on this machine and has another sha256 than the catalog says.

    One that is not here may still be downloaded: nothing is said.
    """
    data = entry(name)
    for file in data.files:
        path = paths.shipped("datasets") / file.path if file.shipped else _found(file)
        if path is not None and path.is_file():
            _checked(data, file, path)


def _found(file: DataFile) -> Path | None:
    """The first of the places that has the file."""
    here = (folder / file.path for _, folder in _folders() if folder is not None)
    return next((path for path in here if path.is_file()), None)


def fingerprint(name: str) -> dict[str, str]:
    """sha256 of each file of the data set by path: what a result computed from it depends on. Raises as `fetch` does."""
    return {file.path: file.sha256 or sha256(_find(entry(name), file)) for file in entry(name).files}


def _find(data: Entry, file: DataFile) -> Path:
    if file.shipped:
        path = paths.shipped("datasets") / file.path
        if not path.is_file():
            raise UsageError(f"data set {data.name!r}: shipped file {path} is missing; it is made by: {data.source}")
        return _checked(data, file, path)
    looked = []
    for label, folder in _folders():
        if folder is None:
            looked.append(f"{label} (not set)")
            continue
        path = folder / file.path
        if path.is_file():
            return _checked(data, file, path)
        looked.append(f"{label} ({path})")
    if data.url is None:
        looked.append("the network (no address in the catalog)")
    else:
        address = data.url + urllib.parse.quote(Path(file.path).name)
        try:
            return _download(data, file, address)
        except OSError as error:
            looked.append(f"{address} ({getattr(error, 'reason', error)})")
    raise UsageError(f"data set {data.name!r}: {file.path} not found; looked in: " + "; ".join(looked))


def _folders() -> list[tuple[str, Path | None]]:
    def variable(key: str) -> Path | None:
        return Path(os.environ[key]) if os.environ.get(key) else None

    return [
        ("$MICO_DATA_DIR", variable("MICO_DATA_DIR")),
        ("cache", cache_folder()),
        ("$MICO_DATA_MIRROR", variable("MICO_DATA_MIRROR")),
    ]


def _download(data: Entry, file: DataFile, address: str) -> Path:
    """Fetch into the cache; the file appears there whole and with the right sum, or not at all."""
    import urllib.request  # with what it needs of TLS a twentieth of the time in which `validate` ends

    target = cache_folder() / file.path
    with urllib.request.urlopen(address, timeout=NETWORK_TIMEOUT_S) as answer:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=target.parent, prefix=target.name)
        try:
            with os.fdopen(handle, "wb") as out:
                shutil.copyfileobj(answer, out)
            found = sha256(Path(part))
            if found != file.sha256:
                raise UsageError(f"data set {data.name!r}: {address} has sha256 {found}, expected {file.sha256}")
            os.replace(part, target)
        finally:
            Path(part).unlink(missing_ok=True)
    return target


def _checked(data: Entry, file: DataFile, path: Path) -> Path:
    if file.sha256 is None:
        return path
    found = sha256(path)
    if found != file.sha256:
        raise UsageError(f"data set {data.name!r}: {path} has sha256 {found}, expected {file.sha256}")
    return path


def sha256(path: Path) -> str:
    """sha256 of a file; remembered in the cache folder for as long as the file does not change. Raises UsageError for what is no file."""
    return sha256_of([path])[0]


def sha256_of(paths: Iterable[Path]) -> list[str]:
    """The same of many files; what is remembered of them is read and written once."""
    with Remembered("sha256.json") as memory:
        return [_sum(path, memory) for path in paths]


def _sum(path: Path, memory: Remembered) -> str:
    try:
        found: str = memory(path, _read_sum)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    return found


def _read_sum(path: Path) -> str:
    with opened(path) as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
