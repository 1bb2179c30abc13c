"""Kernel-latency profiles: CSV files brought to the kernel table's named columns.

A profile is a name of the catalog, or the path of a CSV file with the kernel table's own column names whose latency column says its
unit: `latency_cycles`, `latency_instructions`, `latency_ns`, `latency_us` or `latency_ms`.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from mico_runner.data import catalog, profile_csv
from mico_runner.errors import UsageError
from mico_runner.kernel_table import kernel_table


def load_profile(names: str | list[str]) -> pd.DataFrame:
    """Read one or more profiles into one kernel table.

    Returns:
        the kernel table's columns plus `dataset` (name), `device` and `latency`; `attrs["unit"]` is the unit of latency,
        `attrs["warnings"]` says what looks wrong in users' files, a line each.

    Raises:
        UnknownName, UsageError: a file is missing, damaged or malformed (the message has file, line and column), or units differ.
    """
    names = [names] if isinstance(names, str) else list(names)
    if not names:
        raise UsageError("datasets.profile: no data set is named")
    tables, units, warnings = [], {}, []
    for name in names:
        table, unit = _read_file(Path(name), warnings) if name.endswith(".csv") else _read_entry(name)
        tables.append(table)
        units.setdefault(unit, name)
    if len(units) > 1:
        found = ", ".join(f"{name} has {unit}" for unit, name in units.items())
        raise UsageError(f"datasets.profile: latencies in different units cannot be mixed: {found}")
    table = pd.concat(tables, ignore_index=True)
    table.attrs |= {"unit": next(iter(units)), "warnings": warnings}
    return table


def _read_entry(name: str) -> tuple[pd.DataFrame, str]:
    entry = catalog.entry(name, "kernel_profile")
    parts = [kernel_table(pd.DataFrame(profile_csv.read(p, layout=entry).columns)) for p in catalog.fetch(name)]
    return pd.concat(parts, ignore_index=True).assign(dataset=name, device=entry.device), entry.unit


def _read_file(path: Path, warnings: list[str]) -> tuple[pd.DataFrame, str]:
    rows = profile_csv.read(path)
    warnings += map(str, rows.warnings)
    return kernel_table(pd.DataFrame(rows.columns)).assign(dataset=path.stem, device=path.stem), rows.unit
