"""Several versions beside each other, a column each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mico_runner.errors import UsageError
from mico_runner.outputs import store
from mico_runner.outputs.comparison_forms import as_markdown, number, printable
from mico_runner.outputs.version_history import matching
from mico_runner.steps.base import Metric


@dataclass(frozen=True)
class Line:
    """A metric in every version, None where it is absent; `best`: the versions in which it is best, if it is not alike in all."""

    name: str
    unit: str
    direction: str
    values: tuple[float | None, ...]
    best: tuple[int, ...]


@dataclass(frozen=True)
class SideBySide:
    """Attributes: versions: what the columns are called."""

    versions: tuple[str, ...]
    lines: tuple[Line, ...]

    def to_table(self, style: str = "simple") -> str:
        """`style` is one of tabulate's; the best values have a star."""
        from tabulate import tabulate

        escape = as_markdown if style == "github" else printable
        rows = [
            [
                escape(line.name),
                *(f"{number(v)}{'*' if i in line.best else ' '}" for i, v in enumerate(line.values)),
                escape(line.unit),
            ]
            for line in self.lines
        ]
        align = ("left", *["right"] * len(self.versions), "left")
        return tabulate(rows, ["metric", *self.versions, "unit"], tablefmt=style, disable_numparse=True, colalign=align)

    def to_json(self) -> str:
        lines = {line.name: {"unit": line.unit, "values": line.values, "best": line.best} for line in self.lines}
        return json.dumps({"versions": self.versions, "metrics": lines}, indent=1, allow_nan=False)


def side_by_side(
    versions: Sequence[Path], names: Sequence[str], patterns: Sequence[str] = (), everything: bool = False
) -> SideBySide:
    """Metrics of several versions.

    Args:
        names: what the versions are called.
        patterns: of metrics; by default those that have a better side and are not alike in all versions.
        everything: all metrics.

    Raises UsageError for a metric that has two units, and for a pattern that no metric matches.
    """
    found = [store.metrics(version) for version in versions]
    known: dict[str, Metric] = {}
    for metrics in found:
        for name, metric in metrics.items():
            other = known.setdefault(name, metric)
            if other.unit != metric.unit:
                raise UsageError(f"{name}: the unit is {other.unit!r} and {metric.unit!r}; they cannot be compared")
    chosen = matching(sorted(known), patterns) if patterns else sorted(known)
    lines = [_line(name, known[name], [metrics.get(name) for metrics in found]) for name in chosen]
    if not patterns and not everything:
        lines = [line for line in lines if line.direction != "info" and len(set(line.values)) > 1]
    return SideBySide(tuple(names), tuple(lines))


def _line(name: str, about: Metric, metrics: Sequence[Metric | None]) -> Line:
    values = tuple(None if metric is None else metric.value for metric in metrics)
    there = {value for value in values if value is not None}
    best = None
    if about.direction != "info" and len(there) > 1:
        best = max(there) if about.direction == "higher" else min(there)
    stars = tuple(i for i, value in enumerate(values) if best is not None and value == best)
    return Line(name, about.unit, about.direction, values, stars)
