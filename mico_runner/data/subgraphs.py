"""Measured latencies of the subgraphs of whole networks: another kind of data set than kernel profiles.

A row is one fused subgraph of one network on one device. Its weights stand in a column `weights`; where a file has none they are
recovered here from the bytes at two precisions (16-bit rows count 2 bytes per weight but still 4 per activation). Either way the
activations follow.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd

from mico_runner.data import catalog, files
from mico_runner.errors import UsageError, did_you_mean

ENDINGS = (".csv", ".csv.gz")
MAX_BYTES = 256 << 20  # of one file, inflated: a million subgraphs
COLUMNS = [
    "hardware",
    "precision",
    "batch",
    "model",
    "subgraph_id",
    "fusion_pattern",
    "op_type",
    "n_nodes",
    "flops",
    "bytes",
    "peak_flops",
    "lat_mean_ms",
    "lat_std_ms",
    "lat_min_ms",
    "lat_max_ms",
    "samples",
    "node_names",
    "date",
]
HALF = ("fp16", "bf16")
_KEY = ["model", "subgraph_id"]
_FIGURES = {  # lowest and highest that a figure may be
    "batch": (1, 2**31),
    "n_nodes": (1, 2**31),
    "samples": (1, 2**31),
    "flops": (0, 2**60),
    "bytes": (0, 2**60),
    "peak_flops": (0, 1e24),
    "lat_mean_ms": (1e-9, 1e12),
    "lat_std_ms": (0, 1e12),
    "lat_min_ms": (0, 1e12),
    "lat_max_ms": (0, 1e12),
}
_WEIGHTS = {"weights": (0, 2**60)}  # an optional column
_WHOLE = ("batch", "n_nodes", "samples", "weights")
_NAMES = ("hardware", "precision", "model", "subgraph_id")


def load_subgraphs(name: str = "graphs/subgraphs") -> pd.DataFrame:
    """All rows of a data set of kind `subgraph_profile`, or of the file of a path (`ENDINGS`).

    Returns:
        the file's columns, and `weights` and `activations` (input plus output elements of one sample; both int64). Latencies are in ms.

    Raises:
        UnknownName, UsageError: the data set or its file is missing or malformed, or the weights of a subgraph cannot be recovered.
    """
    if name.endswith(ENDINGS):
        return read_subgraphs(Path(name))
    catalog.entry(name, "subgraph_profile")
    return pd.concat([read_subgraphs(path) for path in catalog.fetch(name)], ignore_index=True)


def read_subgraphs(path: Path) -> pd.DataFrame:
    """One CSV file (gzipped or not) in the form of `load_subgraphs`. Raises UsageError naming file and line."""
    table, lines = _read(path)
    own = _WEIGHTS if "weights" in table else {}
    for column, (low, high) in {**_FIGURES, **own}.items():
        values = pd.to_numeric(table[column], errors="coerce")
        bad = ~((values >= low) & (values <= high))
        if column in _WHOLE:
            bad |= values % 1 != 0
        if bad.any():
            row = int(bad.to_numpy().argmax())
            whole = "whole " if column in _WHOLE else ""
            found = f"{column} is {table[column].iloc[row]}"
            raise UsageError(f"{path}:{lines[row]}: {found}; allowed: a {whole}number from {low:g} to {high:g}")
        table[column] = values
    for column in _NAMES:
        empty = table[column].isna()
        if empty.any():
            line = lines[int(empty.to_numpy().argmax())]
            raise UsageError(f"{path}:{line}: {column} is empty; allowed: a name")
    numbered = pd.to_numeric(table["subgraph_id"], errors="coerce")
    if numbered.notna().all():
        table["subgraph_id"] = numbered
    repeated = table.duplicated(["hardware", "precision", "batch", *_KEY])
    if repeated.any():
        row = int(repeated.to_numpy().argmax())
        raise UsageError(f"{path}:{lines[row]}: the subgraph is there already: {table.loc[row, _KEY].to_dict()}")
    weights = table["weights"].to_numpy(float) if own else _recovered_weights(path, table, lines)
    per_weight = np.where(table["precision"].isin(HALF), 2, 4)
    activations = (table["bytes"].to_numpy() - per_weight * weights) / 4 / table["batch"].to_numpy()
    if (activations < 0).any():
        row = int((activations < 0).argmax())
        found = f"{weights[row]:.0f} weights of {per_weight[row]} bytes"
        raise UsageError(f"{path}:{lines[row]}: {found} are more than bytes, which is {table['bytes'].iloc[row]:.0f}")
    return table.assign(weights=weights.astype(np.int64), activations=activations.round().astype(np.int64))


def _read(path: Path) -> tuple[pd.DataFrame, list[int]]:
    """The file's columns as text, empty values as nan, and the line of each row. The columns' names are checked."""
    reader = csv.reader(io.StringIO(files.read_text(path, MAX_BYTES)), strict=True)
    rows, lines = [], []
    try:
        names = [name.strip() for name in next(reader, [])]
        missing = [column for column in COLUMNS if column not in names]
        if missing:
            near = did_you_mean(missing[0], names).rstrip(";")
            raise UsageError(f"{path}:1: column {missing[0]!r} is missing; found {', '.join(names) or 'none'}{near}")
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise UsageError(f"{path}:1: column {twice[0]!r} is there twice")
        for row in reader:
            if row and len(row) != len(names):
                raise UsageError(f"{path}:{reader.line_num}: {len(row)} values; allowed: {len(names)}, one per column")
            if row:
                rows.append(row)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise UsageError(f"{path}:{reader.line_num}: not comma-separated values: {error}") from None
    if not rows:
        raise UsageError(f"{path}: no rows")
    return pd.DataFrame(rows, columns=names).replace("", np.nan), lines


def robust_mean_ms(table: pd.DataFrame) -> np.ndarray:
    """Mean latency in ms without the longest sample, float64 (rows,): single outliers pull some means far up."""
    n, mean = table["samples"].to_numpy(float), table["lat_mean_ms"].to_numpy(float)
    trimmed = (mean * n - table["lat_max_ms"].to_numpy(float)) / np.maximum(n - 1, 1)
    return np.where((n > 2) & (trimmed > 0), trimmed, mean)


def _recovered_weights(path: Path, table: pd.DataFrame, lines: list[int]) -> np.ndarray:
    half = table["precision"].isin(HALF)
    key = ["hardware", "batch", *_KEY]
    full_bytes = table[table["precision"] == "fp32"].set_index(key)["bytes"]
    half_bytes = table[half].groupby(key)["bytes"].first()
    weights = ((full_bytes - half_bytes) / 2).dropna().groupby(_KEY).agg(["min", "max"])
    unlike = weights[(weights["min"] != weights["max"]) | (weights["min"] < 0) | (weights["min"] % 1 != 0)]
    if len(unlike):
        raise UsageError(f"{path}: bytes at two precisions do not give one number of weights for {unlike.index[0]}")
    known = pd.MultiIndex.from_frame(table[_KEY])
    found = weights["min"].reindex(known).to_numpy()
    if np.isnan(found).any():
        row = int(np.isnan(found).argmax())
        raise UsageError(
            f"{path}:{lines[row]}: weights unknown: no device has {known[row]} both at fp32 and at fp16 or bf16;"
            " add a column weights"
        )
    return found
