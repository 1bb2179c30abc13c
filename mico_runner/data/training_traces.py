"""Recorded trainings: epochs to a target by batch size, and time and power of an epoch by batch size and power limit.

Two CSV files, as published with Zeus (https://github.com/ml-energy/zeus, folder trace): of the runs `dataset, network, batch_size,
optimizer, target_metric, target_epoch` (empty: the target was not reached), of the power
`dataset, network, batch_size, optimizer, power_limit` (W), `time_per_epoch` (s), `average_power` (W). Further columns are kept.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mico_runner.data import catalog, files
from mico_runner.errors import UsageError, did_you_mean

MAX_BYTES = 64 << 20
KEY = ("dataset", "network", "optimizer")
_RUNS = {"batch_size": 1.0, "target_metric": None, "target_epoch": 1.0}  # column -> least value
_POWER = {"batch_size": 1.0, "power_limit": 1e-9, "time_per_epoch": 1e-9, "average_power": 1e-9}


@dataclass(frozen=True)
class Trace:
    """`runs` and `power` as the module says, and the name of the device or data set for messages."""

    name: str
    runs: pd.DataFrame
    power: pd.DataFrame


def load_trace(name: str) -> Trace:
    """A data set of kind `training_trace`. Raises UnknownName, UsageError: it is missing or malformed."""
    catalog.entry(name, "training_trace")
    runs, power = catalog.fetch(name)
    return read_trace(name.rpartition("/")[2], runs, power)


def read_trace(name: str, runs: Path, power: Path) -> Trace:
    """The two files. Raises UsageError naming file, line and column."""
    return Trace(name, _read(runs, _RUNS, may_be_empty="target_epoch"), _read(power, _POWER))


def _read(path: Path, numbers: dict[str, float | None], may_be_empty: str | None = None) -> pd.DataFrame:
    try:
        table = pd.read_csv(io.StringIO(files.read_text(path, MAX_BYTES)), dtype=str, skip_blank_lines=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise UsageError(f"{path}: not comma-separated values: {error}") from None
    for column in (*KEY, *numbers):
        if column not in table:
            near = did_you_mean(column, list(table)).rstrip(";")
            raise UsageError(f"{path}:1: column {column!r} is missing; found {', '.join(map(str, table))}{near}")
    if table.empty:
        raise UsageError(f"{path}: no rows")
    for column, least in numbers.items():
        values = pd.to_numeric(table[column], errors="coerce")
        bad = values.isna() if least is None else ~(values >= least)
        if column == may_be_empty:
            bad &= table[column].notna()
        if column == "batch_size":
            bad |= values % 1 != 0
        if bad.any():
            row = int(bad.to_numpy().argmax())
            allowed = "a number" if least is None else f"a number from {least:g}"
            raise UsageError(f"{path}:{row + 2}: {column} is {table[column].iloc[row]!r}; allowed: {allowed}")
        table[column] = values.astype(int) if column == "batch_size" else values
    return table
