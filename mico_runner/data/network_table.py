"""Measured latencies of whole networks on many devices: another kind of data set than kernel profiles.

A file is `.npz` (array `architecture` (networks, positions) of operations as whole numbers from 0, and an array (networks,) per device)
or `.csv` (columns `op0`, `op1`, ... and a column per device). Latencies are in any one unit; a network that a device has not
measured is nan, or an empty value of a CSV file. Beside them may stand what the search space says of each operation at each position:
a `.csv` with the columns position, operation, and one per kind of work (multiplications, ...), whose sums over a network are `computed`.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mico_runner.data import catalog, files, npz
from mico_runner.errors import UnknownName, UsageError

KIND = "network_profile"
ENDINGS = (".npz", ".csv")
ARCHITECTURE = "architecture"
MAX_BYTES = 256 << 20  # of a CSV file: millions of networks
MOST_OPERATIONS = 1000  # of one position: beyond it the numbers are no choices
ALLOWED = "a positive latency, or nothing where it was not measured"


@dataclass(frozen=True)
class Split:
    """Devices that are learned from, and those that are tested on."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]


@dataclass(frozen=True)
class NetworkTable:
    """Networks of one search space and their latencies.

    Attributes:
        architecture: the operation at each position, int64 (networks, positions), from 0.
        latency: of each device, float64 (networks,), nan where it was not measured.
        computed: sums over each network of what its operations do, by kind of work, float64 (networks,).
        splits: published pairs of source and target devices, by name.
    """

    architecture: np.ndarray
    latency: dict[str, np.ndarray]
    computed: dict[str, np.ndarray]
    splits: dict[str, Split]

    def measured(self, device: str) -> np.ndarray:
        """The latencies on one device. Raises UnknownName."""
        if device not in self.latency:
            raise UnknownName("device of the networks", device, self.latency)
        return self.latency[device]


def load_networks(name: str) -> NetworkTable:
    """A data set of the catalog, or a file of one's own by its path.

    Raises UnknownName, UsageError: it is missing, damaged or malformed (the message has file, and line or array).
    """
    if name.endswith(ENDINGS):
        return read(Path(name))
    catalog.entry(name, KIND)
    found, computed, splits = None, {}, {}
    for path in catalog.fetch(name):
        if path.suffix == ".json":
            splits = json.loads(path.read_text(encoding="utf-8"))[name.rpartition("/")[2]]
        elif path.suffix == ".csv":
            computed = _work(path)
        else:
            found = read(path)
    if found is None:
        raise UsageError(f"data set {name!r}: no file of latencies")
    rows = np.arange(found.architecture.shape[1])
    sums = {kind: costs[rows, found.architecture].sum(axis=1) for kind, costs in computed.items()}
    named = {key: Split(tuple(each["train"]), tuple(each["test"])) for key, each in splits.items()}
    return NetworkTable(found.architecture, found.latency, sums, named)


def read(path: Path) -> NetworkTable:
    """One file. Raises UsageError as `load_networks` does."""
    architecture, latency = _from_csv(path) if path.suffix == ".csv" else _from_npz(path)
    if not latency:
        raise UsageError(f"{path}: no device; allowed: a column or an array of latencies for each")
    return NetworkTable(architecture, latency, {}, {})


def _work(path: Path) -> dict[str, np.ndarray]:
    """Of each kind of work, float64 (positions, operations)."""
    rows = list(csv.DictReader(io.StringIO(files.read_text(path, MAX_BYTES))))
    positions, operations = (1 + max(int(row[key]) for row in rows) for key in ("position", "operation"))
    found = {}
    for kind in rows[0]:
        if kind not in ("position", "operation"):
            found[kind] = np.zeros((positions, operations))
            for row in rows:
                found[kind][int(row["position"]), int(row["operation"])] = float(row[kind])
    return found


def _from_npz(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    arrays = npz.read(path)
    if ARCHITECTURE not in arrays:
        raise UsageError(f"{path}: no array {ARCHITECTURE!r}; found {', '.join(arrays) or 'none'}")
    codes = arrays.pop(ARCHITECTURE)
    whole = codes.ndim == 2 and codes.size and np.issubdtype(codes.dtype, np.integer)
    if not whole or codes.min() < 0 or codes.max() > MOST_OPERATIONS:
        text = f"array {ARCHITECTURE!r} has shape {codes.shape} of {codes.dtype}"
        raise UsageError(f"{path}: {text}; allowed: (networks, positions) of whole numbers from 0 to {MOST_OPERATIONS}")
    for device, values in arrays.items():
        if values.shape != codes.shape[:1] or values.dtype.kind not in "iuf":
            text = f"array {device!r} has shape {values.shape} of {values.dtype}"
            raise UsageError(f"{path}: {text}; allowed: {codes.shape[:1]} of numbers, a latency per network")
        bad = ~(np.isnan(values) | (np.isfinite(values) & (values > 0)))
        if bad.any():
            row = int(bad.argmax())
            raise UsageError(f"{path}: array {device!r}, network {row}: found {values[row]}; allowed: {ALLOWED}")
    return codes.astype(np.int64), {device: values.astype(float) for device, values in arrays.items()}


def _from_csv(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    reader = csv.reader(io.StringIO(files.read_text(path, MAX_BYTES)), strict=True)
    names = [name.strip() for name in next(reader, [])]
    positions = [name for name in names if name.startswith("op") and name[2:].isdigit()]
    if sorted(positions) != sorted(f"op{number}" for number in range(len(positions))) or not positions:
        raise UsageError(f"{path}:1: found columns {', '.join(names) or 'none'}; allowed: op0, op1, ... and devices")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(f"{path}:1: column {twice!r} is there twice")
    columns: dict[str, list[float]] = {name: [] for name in names}
    try:
        for row in reader:
            if not row:
                continue
            if len(row) != len(names):
                raise UsageError(f"{path}:{reader.line_num}: {len(row)} values; allowed: {len(names)}, one per column")
            for name, text in zip(names, row, strict=True):
                where = f"{path}:{reader.line_num}: column {name!r}: found {text!r}"
                columns[name].append(_code(text, where) if name in positions else _latency(text, where))
    except csv.Error as error:
        raise UsageError(f"{path}:{reader.line_num}: not comma-separated values: {error}") from None
    if not columns[names[0]]:
        raise UsageError(f"{path}: no networks")
    codes = np.array([columns[f"op{number}"] for number in range(len(positions))], dtype=np.int64).T
    return codes, {name: np.array(columns[name]) for name in names if name not in positions}


def _code(text: str, where: str) -> int:
    if not text.strip().isdigit() or int(text) > MOST_OPERATIONS:
        raise UsageError(
            f"{where}; allowed: a whole number from 0 to {MOST_OPERATIONS}, the operation at this position"
        )
    return int(text)


def _latency(text: str, where: str) -> float:
    try:
        value = float(text) if text.strip() else float("nan")
    except ValueError:
        raise UsageError(f"{where}; allowed: {ALLOWED}") from None
    if text.strip() and not 0 < value < float("inf"):
        raise UsageError(f"{where}; allowed: {ALLOWED}")
    return value
