"""What a sweep's version holds: one table over all cells, means and intervals over its seeds, one front.

| file | content |
|---|---|
| table.csv | a row per cell: its axes, whether it ended well, every metric |
| means.csv | a row per combination of the other axes and metric: mean over the seeds, 95 % interval, how many |
| table.md | the metrics that are better low or high, mean and interval, as a GitHub table |
| front.csv | what no point of any cell's front dominates; absent where no cell searched |
| metrics.json | the means, so that `diff` compares sweeps |
| report.html | all of it to look at |
"""

from __future__ import annotations

import csv
import io
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import yaml

from mico_runner import outputs
from mico_runner.errors import UsageError
from mico_runner.outputs import environment, store
from mico_runner.outputs.files import write_text
from mico_runner.steps.base import Metric

SEED = "seed"
LEVEL = 0.95  # of the intervals
OK, FAILED, BROKEN = "ok", "failed", "gate broken"

Row = dict[str, Any]


@dataclass(frozen=True)
class CellResult:
    """How a cell ended.

    Attributes:
        values: of the axes.
        version: None of a cell that failed.
        error: why it failed.
        broken: its broken gates.
    """

    name: str
    values: Mapping[str, object]
    version: Path | None = None
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    error: str = ""
    broken: list[str] = field(default_factory=list)

    @property
    def status(self) -> str:
        return FAILED if self.error else BROKEN if self.broken else OK


@dataclass(frozen=True)
class Mean:
    """A metric over the seeds of a group of cells.

    Attributes:
        value: its mean, with the unit, direction and tolerance of the cells' metrics.
        half: half of the interval that holds the mean of all seeds with 95 %, by Student's t; None of less than two seeds.
        count: of seeds.
    """

    value: Metric
    half: float | None
    count: int


def write_sweep(
    folder: Path, base: Mapping[str, object], axes: Sequence[str], cells: Sequence[CellResult], root: Path
) -> None:
    """Fill the folder of a new version.

    Args:
        base: the resolved spec with its matrix.
        root: of all results; where cells lie is said relative to it.
    """
    groups = grouped(axes, cells)
    write_text(folder / "table.csv", _csv(table(axes, cells, root)))
    write_text(folder / "means.csv", _csv(means_table(groups)))
    write_text(folder / "table.md", markdown(groups, cells))
    if found := front(axes, cells):
        write_text(folder / "front.csv", _csv(found))
    write_text(folder / "spec.resolved.yaml", yaml.safe_dump(dict(base), sort_keys=False, allow_unicode=True))
    store.write_metrics(folder, metrics_of(groups, cells))
    about = {cell.name: _about(cell, root) for cell in cells}
    manifest: dict[str, object] = {
        "name": base["name"],
        "seed": base["seed"],
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "environment": environment.describe(),
        "steps": {},
        "cells": about,
    }
    write_text(folder / "manifest.json", json.dumps(manifest, indent=1))
    outputs.write_report(folder)
    manifest["artifacts"] = store.artifact_hashes(folder)
    write_text(folder / "manifest.json", json.dumps(manifest, indent=1))


def _about(cell: CellResult, root: Path) -> dict[str, Any]:
    version = str(cell.version.relative_to(root)) if cell.version else None
    return {
        "values": dict(cell.values),
        "status": cell.status,
        "version": version,
        "error": cell.error,
        "broken": cell.broken,
    }


def table(axes: Sequence[str], cells: Sequence[CellResult], root: Path) -> list[Row]:
    """A row per cell."""
    names = sorted({name for cell in cells for name in cell.metrics})
    rows = []
    for cell in cells:
        row: Row = {"cell": cell.name, **{axis: cell.values[axis] for axis in axes}, "status": cell.status}
        row["version"] = str(cell.version.relative_to(root)) if cell.version else ""
        row |= {name: cell.metrics[name].value if name in cell.metrics else "" for name in names}
        rows.append(row | {"error": cell.error or "; ".join(cell.broken)})
    return rows


Groups = dict[tuple[tuple[str, Any], ...], dict[str, Mean]]


def grouped(axes: Sequence[str], cells: Sequence[CellResult]) -> Groups:
    """Combination of the axes but `seed` -> metric -> its mean over the cells that ended well."""
    found: dict[tuple[tuple[str, Any], ...], list[CellResult]] = {}
    for cell in cells:
        key = tuple((axis, cell.values[axis]) for axis in axes if axis != SEED)
        found.setdefault(key, []).append(cell)
    return {key: _means([cell for cell in some if not cell.error]) for key, some in found.items()}


def _means(cells: Sequence[CellResult]) -> dict[str, Mean]:
    names = sorted({name for cell in cells for name in cell.metrics})
    found = {}
    for name in names:
        metrics = [cell.metrics[name] for cell in cells if name in cell.metrics]
        values = [float(metric.value) for metric in metrics]
        found[name] = Mean(replace(metrics[0], value=fmean(values)), half_interval(values), len(values))
    return found


def half_interval(values: Sequence[float]) -> float | None:
    """Half the width of the confidence interval of a mean, by Student's t with n - 1 degrees of freedom; None of less than two values."""
    if len(values) < 2:
        return None
    from scipy.special import stdtrit

    quantile = float(stdtrit(len(values) - 1, (1 + LEVEL) / 2))
    return float(quantile * stdev(values) / len(values) ** 0.5)


def means_table(groups: Groups) -> list[Row]:
    """A row per group and metric."""
    rows = []
    for key, means in groups.items():
        for name, mean in means.items():
            spread = {"low": "", "high": ""}
            value = mean.value.value
            if mean.half is not None:
                spread = {"low": repr(value - mean.half), "high": repr(value + mean.half)}
            rows.append(
                {**dict(key), "metric": name, "mean": value, **spread, "n": mean.count, "unit": mean.value.unit}
            )
    return rows


def metrics_of(groups: Groups, cells: Sequence[CellResult]) -> dict[str, Metric]:
    """The means under the metrics' own names, behind the axes' values where there are other axes than the seed."""
    found: dict[str, Metric] = {}
    for key, means in groups.items():
        head = "_".join(re.sub(r"[^\w.-]+", "-", f"{axis}-{value}") for axis, value in key)
        found |= {f"{head}.{name}" if head else name: mean.value for name, mean in means.items()}
    found["sweep.cells"] = Metric(len(cells), "count")
    found["sweep.failed"] = Metric(sum(bool(cell.error) for cell in cells), "count", "lower")
    found["sweep.gates_broken"] = Metric(sum(bool(cell.broken) for cell in cells), "count", "lower")
    return found


def markdown(groups: Groups, cells: Sequence[CellResult]) -> str:
    """Metrics that are better low or high, a row each, a column per group; then the cells without a result."""
    from tabulate import tabulate

    judged = sorted(
        {
            name
            for means in groups.values()
            for name, mean in means.items()
            if mean.value.direction != "info" and not mean.value.volatile
        }
    )
    heads = [", ".join(f"{axis}={value}" for axis, value in key) or "mean" for key in groups]
    rows = []
    for name in judged:
        found = [means.get(name) for means in groups.values()]
        unit = next(mean.value.unit for mean in found if mean)
        rows.append([name, unit, *(_text(mean) for mean in found)])
    seeds = sorted({mean.count for means in groups.values() for mean in means.values()})
    about = f"{len(cells)} cells"
    if seeds and seeds[-1] > 1:
        about += f"; mean ± half of the {LEVEL:.0%} interval over {seeds[-1]} seeds"
    lines = [about, "", tabulate(rows, ["metric", "unit", *heads], tablefmt="github", disable_numparse=True)]
    lost = [f"- {text}" for text in complaints(cells)]
    return "\n".join([*lines, *(["", *lost] if lost else [])]) + "\n"


def complaints(cells: Sequence[CellResult]) -> list[str]:
    """Why cells have no result, or break gates: a line per reason, which names the cells."""
    found: dict[str, list[str]] = {}
    for cell in cells:
        for reason in [f"failed: {cell.error}"] if cell.error else [f"{BROKEN}: {gate}" for gate in cell.broken]:
            found.setdefault(reason, []).append(cell.name)
    return [f"{', '.join(names)}: {reason}" for reason, names in found.items()]


def _text(mean: Mean | None) -> str:
    if mean is None:
        return ""
    return f"{mean.value.value:.5g}" + (f" ± {mean.half:.2g}" if mean.half else "")


def front(axes: Sequence[str], cells: Sequence[CellResult]) -> list[Row]:
    """The points of all cells' fronts that none dominates, in the objectives of their searches and the same units.

    Latencies in cycles and in ns have no order: each unit has a front of its own.
    """
    import numpy as np

    from mico_runner.search.front import front as undominated

    points: dict[tuple[tuple[str, str], ...], list[tuple[Row, list[float]]]] = {}
    for cell in cells:
        for row, goal in _points(cell):
            columns = {name: float(row[name]) for name in goal}
            shown: Row = {"cell": cell.name, **{axis: cell.values[axis] for axis in axes}, "order": row["order"]}
            units = ((name, unit) for name, (_, unit) in goal.items())
            signed = [sign * columns[name] for name, (sign, _) in goal.items()]
            points.setdefault(tuple(units), []).append((shown | columns, signed))
    found = []
    for key, some in points.items():
        kept = undominated(np.array([signed for _, signed in some]))
        words = ", ".join(f"{name} in {unit}" for name, unit in key)
        found += [some[i][0] | {"units": words} for i in kept]
    return found


def _points(cell: CellResult) -> list[tuple[Row, dict[str, tuple[int, str]]]]:
    """The rows of a cell's front, and of its search's objectives: column -> (sign that makes low better, unit)."""
    path = cell.version / "steps" / "search" / "front.csv" if cell.version else None
    if path is None or not path.is_file() or cell.version is None:
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows: list[Row] = list(csv.DictReader(file))
    spec = yaml.safe_load((cell.version / "spec.resolved.yaml").read_text(encoding="utf-8"))
    quality = next((name for name in cell.metrics if name.startswith("search.validation_")), None)
    goal: dict[str, tuple[int, str]] = {}
    for objective in spec["search"]["objectives"]:
        name = quality if objective in ("quality", "accuracy") else f"search.{objective}"
        if name is None or (name not in cell.metrics and objective != "bops"):
            raise UsageError(f"{cell.version / 'metrics.json'}: no metric of objective {objective!r} of its search")
        unit, better = ("bit operations", "lower") if name not in cell.metrics else (cell.metrics[name].unit, "")
        better = better or cell.metrics[name].direction
        goal[name.removeprefix("search.")] = (-1 if better == "higher" else 1, unit)
    return [(row, goal) for row in rows]


def _csv(rows: Sequence[Row]) -> str:
    text = io.StringIO()
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, columns, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
