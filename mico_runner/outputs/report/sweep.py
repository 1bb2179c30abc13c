"""The page of a sweep: its cells, the spread of its metrics, one front over all cells."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes

from mico_runner.outputs.report.figures import INK, MARKERS, PALETTE, grouped, mark, svg
from mico_runner.outputs.report.tables import Table, number, table
from mico_runner.outputs.report.version import Version
from mico_runner.steps.base import Metric

_DRAWN = 9  # metrics: the page is for a look, the tables beside it have all
_COLUMNS = 3
_NARROW = 0.14  # of the distance between groups: how far a group's points are spread, so that equal ones are seen


def context(version: Version) -> dict[str, Any]:
    """What the template shows, from the files that `sweep_version` has written."""
    cells = pd.read_csv(version.folder / "table.csv", dtype={"cell": str})
    cells["group"] = _groups(version.manifest["cells"], cells["cell"].tolist())
    judged = _judged(version, cells)
    path = version.folder / "front.csv"
    about = version.manifest["cells"]
    return {
        "name": version.spec["name"],
        "facts": {},
        "spec_text": version.spec_text,
        "manifest": version.manifest,
        "description": version.spec.get("description") or "",
        "count": len(cells),
        "failed": {name: cell["error"] for name, cell in about.items() if cell["error"]},
        "broken": {name: "; ".join(cell["broken"]) for name, cell in about.items() if cell["broken"]},
        "means": _means(version, judged),
        "spread": Markup(_spread(cells, judged[:_DRAWN])) if judged else None,
        "more": len(judged) - _DRAWN,
        "fronts": _fronts(pd.read_csv(path)) if path.is_file() else [],
        "cells": table(cells.drop(columns=["group"])[[c for c in cells if c in _kept(cells, judged)]]),
    }


def _groups(cells: dict[str, Any], names: Sequence[str]) -> list[str]:
    """For each cell, the values of all axes but the seed."""
    values = [cells[name]["values"] for name in names]
    return [", ".join(f"{axis}={value}" for axis, value in each.items() if axis != "seed") or "all" for each in values]


def _judged(version: Version, cells: pd.DataFrame) -> list[tuple[str, Metric]]:
    """The metrics that have a better side and are no measured times: those of gates first, then those that differ."""
    found: dict[str, Metric] = {}
    for name, metric in version.metrics.items():
        own = next((column for column in cells if name == column or name.endswith(f".{column}")), None)
        if own and metric.direction != "info" and not metric.volatile:
            found.setdefault(str(own), metric)
    gates = version.spec.get("gates") or {}
    return sorted(found.items(), key=lambda item: (item[0] not in gates, cells[item[0]].nunique() < 2))


def _kept(cells: pd.DataFrame, judged: list[tuple[str, Metric]]) -> set[str]:
    """Columns of the table of cells: not the hundred metrics that nothing judges."""
    end = list(cells).index("version")
    return {*map(str, list(cells)[:end]), *(name for name, _ in judged[:_DRAWN]), "error"}


def _means(version: Version, judged: list[tuple[str, Metric]]) -> Table | None:
    """A row per judged metric, a column per group."""
    means = pd.read_csv(version.folder / "means.csv")
    known = [str(c) for c in means][: list(means).index("metric")]
    names = [", ".join(f"{axis}={row[axis]}" for axis in known) or "mean" for row in means.to_dict("records")]
    groups = list(dict.fromkeys(names))
    said = {(row["metric"], group): _mean(row) for row, group in zip(means.to_dict("records"), names, strict=True)}
    rows = [[name, *(said.get((name, group), "–") for group in groups), metric.unit] for name, metric in judged]
    heads, numeric = ["metric", *groups, "unit"], [False, *[True] * len(groups), False]
    return Table(heads, rows, numeric, [False] * len(rows), [""] * len(rows)) if rows else None


def _mean(row: dict[Hashable, Any]) -> str:
    half = (row["high"] - row["low"]) / 2
    return number(float(row["mean"])) + ("" if math.isnan(half) else f" ± {half:.2g}")


def _spread(cells: pd.DataFrame, judged: list[tuple[str, Metric]]) -> str:
    """A panel per metric: its value in each cell, by group, and the groups' means as bars."""
    groups = list(dict.fromkeys(cells["group"]))
    columns = min(len(judged), _COLUMNS)
    rows = -(-len(judged) // columns)

    def draw(axes: Any) -> None:
        panels = np.atleast_1d(axes).ravel()
        for ax in panels[len(judged) :]:
            ax.set_axis_off()
        for ax, (name, metric) in zip(panels, judged, strict=False):
            _panel(ax, cells, groups, name, metric)

    return svg("spread", (3.3 * columns, 2.6 * rows + 0.2), draw, panels=columns, rows=rows)


def _panel(ax: Axes, cells: pd.DataFrame, groups: list[str], name: str, metric: Metric) -> None:
    for place, group in enumerate(groups):
        mine = cells[(cells["group"] == group) & cells[name].notna()]
        if mine.empty:
            continue
        spread = np.linspace(-_NARROW, _NARROW, len(mine)) if len(mine) > 1 else np.zeros(1)
        urls = [
            mark(f"{cell}\n{name} {number(value)} {metric.unit}")
            for cell, value in zip(mine["cell"], mine[name], strict=True)
        ]
        look: dict[str, Any] = {"color": PALETTE[place % len(PALETTE)], "marker": MARKERS[place % len(MARKERS)]}
        ax.scatter(place + spread, mine[name], s=16, lw=0, urls=urls, **look)
        ax.hlines(mine[name].mean(), place - 0.3, place + 0.3, color=INK, lw=1.2)
    ax.set_xticks(
        range(len(groups)), groups, rotation=20 if len(groups) > 1 else 0, ha="right" if len(groups) > 1 else "center"
    )
    ax.tick_params(axis="x", labelsize=7)
    ax.set_xlim(-0.6, len(groups) - 0.4)
    ax.set_ylabel(metric.unit, fontsize=8)
    ax.set_title(name, fontsize=8.5, color=INK)
    ax.grid(axis="x", visible=False)


def _fronts(front: pd.DataFrame) -> list[dict[str, Any]]:
    """For each set of units, its figure and its table."""
    found = []
    for index, (units, points) in enumerate(front.groupby("units", sort=False)):
        points = points.dropna(axis="columns", how="all").drop(columns=["units"])
        goals = dict(part.split(" in ", 1) for part in str(units).split(", "))
        figure = Markup(_front(f"front-{index}", points, goals)) if len(goals) > 1 else None
        found.append({"units": units, "figure": figure, "table": table(points)})
    return found


def _front(figure: str, points: pd.DataFrame, goals: dict[str, str]) -> str:
    """The first two objectives against each other, a mark per cell."""
    (quality, quality_unit), (cost, cost_unit), *_ = goals.items()

    def draw(ax: Axes) -> None:
        for index, (cell, rows) in enumerate(points.groupby("cell", sort=False)):
            said = [
                mark("\n".join([str(cell), *(f"{goal} {number(row[goal])} {unit}" for goal, unit in goals.items())]))
                for row in rows.to_dict("records")
            ]
            look: dict[str, Any] = {
                "color": PALETTE[index % len(PALETTE)],
                "marker": MARKERS[(index + index // len(PALETTE)) % len(MARKERS)],
            }
            ax.scatter(rows[cost], rows[quality], s=30, lw=0, label=str(cell), urls=said, **look)
        ax.set(xlabel=f"{cost}, {cost_unit}", ylabel=f"{quality}, {quality_unit}")
        ax.xaxis.set_major_formatter(grouped)
        ax.legend(loc="upper left", bbox_to_anchor=(1.03, 1), fontsize=7.5)

    return svg(figure, (9.4, 3.8), draw)
