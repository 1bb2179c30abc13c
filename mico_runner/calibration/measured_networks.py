"""Measured latencies of whole networks, in a CSV file of a user's own, beside predicted ones."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import pandas as pd

from mico_runner.data.files import read_text
from mico_runner.errors import UsageError
from mico_runner.yaml_schema import show

COLUMNS = ("network", "device", "precision", "seconds")
LONGEST = 1e6  # seconds of one network


def read(path: Path) -> pd.DataFrame:
    """The file: `COLUMNS`, one row for each network, device and precision.

    Raises UsageError naming file and line: other columns, no number of seconds, a row that is there twice.
    """
    rows = list(csv.reader(io.StringIO(read_text(path))))
    names = [name.strip() for name in rows[0]] if rows else []
    if sorted(names) != sorted(COLUMNS):
        raise UsageError(f"{path}:1: found columns {', '.join(names) or 'none'}; needed: {', '.join(COLUMNS)}")
    found: dict[tuple[str, ...], float] = {}
    for line, values in enumerate(rows[1:], start=2):
        if not values:
            continue
        if len(values) != len(names):
            raise UsageError(f"{path}:{line}: {len(values)} values; allowed: {len(names)}, one per column")
        row = dict(zip(names, (value.strip() for value in values), strict=True))
        try:
            seconds = float(row["seconds"])
        except ValueError:
            seconds = math.nan
        if not 0 < seconds <= LONGEST:
            raise UsageError(
                f"{path}:{line}: seconds is {show(row['seconds'])}; allowed: a number above 0, up to {LONGEST:g}"
            )
        key = (row["network"], row["device"], row["precision"])
        if key in found:
            raise UsageError(f"{path}:{line}: {', '.join(key)} is there twice")
        found[key] = seconds
    return pd.DataFrame([(*key, seconds) for key, seconds in found.items()], columns=[*COLUMNS[:3], "measured_s"])


def compared(predicted: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The predictions with `measured_s`, `error` (signed fraction), `inside` (whether the interval holds it); empty where unmeasured.

    Raises UsageError: the file has none of them.
    """
    table = predicted.merge(read(path), how="left", on=list(COLUMNS[:3]))
    if table["measured_s"].isna().all():
        wanted = ", ".join(predicted[list(COLUMNS[:3])].iloc[0])
        raise UsageError(f"{path}: has none of the networks that are predicted, such as {wanted}")
    table["error"] = table["predicted_s"] / table["measured_s"] - 1
    known = table["measured_s"].notna() & table["low_s"].notna()
    inside = (table["measured_s"] >= table["low_s"]) & (table["measured_s"] <= table["high_s"])
    return table.assign(inside=inside.astype(object).where(known))
