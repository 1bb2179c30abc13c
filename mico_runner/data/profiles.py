"""Kernel-latency profiles: CSV files brought to the kernel table's named columns.

A profile is a name of the catalog, or the path of a CSV file with the kernel table's own column names whose latency column says its
unit: `latency_cycles`, `latency_instructions`, `latency_ns`, `latency_us` or `latency_ms`.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from mico_runner.data import catalog
from mico_runner.errors import UsageError
from mico_runner.kernel_table import BITS, KINDS, SHAPE, kernel_table

UNITS = ("cycles", "instructions", "ns", "us", "ms")


def load_profile(names: str | list[str]) -> pd.DataFrame:
    """Read one or more profiles into one kernel table.

    Returns:
        the kernel table's columns plus `dataset` (name), `device` and `latency`; `attrs["unit"]` is the unit of latency.

    Raises:
        UnknownName, UsageError: a file is missing, damaged or malformed (the message has file and line), or units differ.
    """
    names = [names] if isinstance(names, str) else list(names)
    if not names:
        raise UsageError("datasets.profile: no data set is named")
    tables, units = [], {}
    for name in names:
        table, unit = _read_file(Path(name)) if name.endswith(".csv") else _read_entry(name)
        tables.append(table)
        units.setdefault(unit, name)
    if len(units) > 1:
        found = ", ".join(f"{name} has {unit}" for unit, name in units.items())
        raise UsageError(f"datasets.profile: latencies in different units cannot be mixed: {found}")
    table = pd.concat(tables, ignore_index=True)
    table.attrs["unit"] = next(iter(units))
    return table


def _read_entry(name: str) -> tuple[pd.DataFrame, str]:
    entry = catalog.entry(name, "kernel_profile")
    parts = []
    for path in catalog.fetch(name):
        if not entry.columns:
            rows = _read_rows(path, None).rename(columns={f"latency_{entry.unit}": "latency"})
        else:
            rows = _read_rows(path, entry.columns, entry.header)
            for column, value in entry.fill.items():
                rows[column] = rows[value] if isinstance(value, str) else value
            rows["kind"] = entry.kernel
        parts.append(_table(path, rows))
    return pd.concat(parts, ignore_index=True).assign(dataset=name, device=entry.device), entry.unit


def _read_file(path: Path) -> tuple[pd.DataFrame, str]:
    if not path.is_file():
        raise UsageError(f"datasets.profile: no file {path}")
    rows = _read_rows(path, None)
    units = [unit for unit in UNITS if f"latency_{unit}" in rows]
    if len(units) != 1:
        raise UsageError(f"{path}:1: one latency column is needed, named latency_<unit>; units: {', '.join(UNITS)}")
    rows = rows.rename(columns={f"latency_{units[0]}": "latency"})
    return _table(path, rows).assign(dataset=path.stem, device=path.stem), units[0]


def _read_rows(path: Path, columns: tuple[str, ...] | None, header: str | None = None) -> pd.DataFrame:
    """Strings by column; `columns` by position, or as the file's first line names them. The index is the line in the file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    first = lines[0].strip() if lines else ""
    if header is not None and first != header:
        raise UsageError(f"{path}:1: header is {first!r}, expected {header!r}")
    columns = columns or tuple(c.strip() for c in first.split(","))
    rows, numbers = [], []
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        values = [v.strip() for v in line.split(",")]
        if len(values) != len(columns):
            raise UsageError(f"{path}:{number}: {len(values)} values, expected {len(columns)} ({', '.join(columns)})")
        rows.append(values)
        numbers.append(number)
    if not rows:
        raise UsageError(f"{path}: no rows")
    return pd.DataFrame(rows, columns=list(columns), index=numbers)


def _table(path: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """The kernel table of one file, checked, its lines in messages."""
    missing = [c for c in ("kind", "latency") if c not in rows]
    if missing:
        raise UsageError(f"{path}:1: column {missing[0]!r} is missing; found {', '.join(rows)}")
    latency = pd.to_numeric(rows["latency"], errors="coerce")
    bad = ~((latency > 0) & (latency < float("inf")))
    if bad.any():
        line = bad.idxmax()
        raise UsageError(f"{path}:{line}: latency is {rows['latency'][line]!r}, expected a positive number")
    for column in [*SHAPE, *BITS]:
        if column not in rows:
            continue
        numbers = pd.to_numeric(rows[column], errors="coerce")
        bad = numbers.isna() | (numbers < (0 if column in BITS else 1)) | (numbers % 1 != 0)
        if bad.any():
            line = bad.idxmax()
            raise UsageError(f"{path}:{line}: {column} is {rows[column][line]!r}, expected a whole number in range")
    unknown = ~rows["kind"].isin(KINDS)
    if unknown.any():
        line = unknown.idxmax()
        raise UsageError(f"{path}:{line}: kind is {rows['kind'][line]!r}, allowed: {', '.join(KINDS)}")
    table = kernel_table(rows.assign(latency=latency))
    small = (table["in_h"] < table["kernel_h"]) | (table["in_w"] < table["kernel_w"])
    if small.any():
        line = rows.index[small.to_numpy().argmax()]
        raise UsageError(f"{path}:{line}: the kernel is larger than the padded input")
    return table
