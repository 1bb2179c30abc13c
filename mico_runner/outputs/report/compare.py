"""The page of several versions side by side: their metrics, their fronts, the bits of each layer, what else is different."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes

from mico_runner.outputs.comparison_forms import number as plain
from mico_runner.outputs.differences import differences
from mico_runner.outputs.files import write_text
from mico_runner.outputs.report import page
from mico_runner.outputs.report.figures import ORANGE, axis_of, grouped, mark, series, svg
from mico_runner.outputs.report.front import cost_of
from mico_runner.outputs.report.labels import COSTS, bits_of, point_label
from mico_runner.outputs.report.tables import Table, table
from mico_runner.outputs.report.version import Version
from mico_runner.outputs.version_columns import SideBySide

_Fronts = list[tuple[str, Version, pd.DataFrame]]


def write_comparison(versions: Sequence[Path], metrics: SideBySide, path: Path) -> None:
    """Write the page of `versions`, whose columns in `metrics` are in the same order, to `path`.

    Raises UsageError for a version that is damaged.
    """
    found = list(zip(metrics.versions, map(Version, versions), strict=True))
    layers = list(dict.fromkeys(layer for _, version in found for layer in version.assignment))
    context = {
        "name": " · ".join(metrics.versions),
        "facts": {layer: _facts(layer, found) for layer in layers},
        "versions": metrics.versions,
        "metrics": _metrics(metrics),
        "fronts": _fronts(found),
        "bits": _bits(layers, found),
        "differences": _differences(versions, metrics.versions),
    }
    write_text(path, page.fill("compare.html.j2", context))


def _metrics(metrics: SideBySide) -> Table | None:
    rows = [
        [line.name, *(f"{plain(v)}{' *' if i in line.best else ''}" for i, v in enumerate(line.values)), line.unit]
        for line in metrics.lines
    ]
    numeric = [False, *[True] * len(metrics.versions), False]
    none = [""] * len(rows)
    return Table(["metric", *metrics.versions, "unit"], rows, numeric, [False] * len(rows), none) if rows else None


def _fronts(found: list[tuple[str, Version]]) -> list[Markup]:
    """A figure for all fronts whose axes are the same."""
    alike: dict[tuple[str, ...], _Fronts] = {}
    for name, version in found:
        front = version.csv("search", "front.csv")
        cost = None if front is None else cost_of(version, front)
        if front is not None and cost is not None:
            unit = version.unit if cost == "latency" else ""
            alike.setdefault((axis_of(version.task.MEASURE), cost, unit), []).append((name, version, front))
    return [Markup(_front(f"fronts-{i}", fronts, *axes)) for i, (axes, fronts) in enumerate(alike.items())]


def _front(figure: str, fronts: _Fronts, quality: str, cost: str, unit: str) -> str:
    def draw(ax: Axes) -> None:
        for index, (name, version, front) in enumerate(fronts):
            measure = version.task.MEASURE
            points = front.sort_values(cost)
            look = series(index)
            column = f"validation_{measure.name}"
            ax.plot(points[cost], points[column], color=look["color"], ls=look["linestyle"], lw=1.2)
            chosen = points["chosen"] == 1
            for rows, size, edge, said in ((points[~chosen], 26, "none", ""), (points[chosen], 90, ORANGE, "chosen, ")):
                urls = [
                    mark(f"{said}{name}\n{point_label(row, measure, version.unit, bits_of(row))}")
                    for row in rows.to_dict("records")
                ]
                label = f"{name}, {said}front".replace("chosen, front", "chosen")
                shape = {"marker": look["marker"], "color": look["color"], "edgecolor": edge, "linewidth": 1.8}
                ax.scatter(rows[cost], rows[column], s=size, zorder=3, label=label, urls=urls, **shape)
        ax.set(xlabel=COSTS[cost] + (f", {unit}" if unit else ""), ylabel=quality)
        ax.xaxis.set_major_formatter(grouped)
        ax.legend(loc="upper left", bbox_to_anchor=(1.03, 1), fontsize=8.5)

    return svg(figure, (9.4, 4.1), draw)


def _bits(layers: list[str], found: list[tuple[str, Version]]) -> Table | None:
    assigned = {name: version.assignment for name, version in found if version.assignment}
    rows = [{"layer": layer} | {name: _pair(bits.get(layer)) for name, bits in assigned.items()} for layer in layers]
    return table(pd.DataFrame(rows)) if rows else None


def _pair(bits: Any) -> str:
    return f"w{bits[0]:g} a{bits[1]:g}" if bits else "–"


def _facts(layer: str, found: list[tuple[str, Version]]) -> list[tuple[str, str]]:
    return [(name, _pair(version.assignment.get(layer))) for name, version in found]


def _differences(versions: Sequence[Path], names: Sequence[str]) -> list[tuple[str, list[str]]]:
    """What is different between the first version and each other."""
    others = zip(names[1:], versions[1:], strict=True)
    return [(name, [f"{each.of}: {each}" for each in differences(versions[0], other)]) for name, other in others]
