"""The search in a report: quality against cost, the front, what was learnt of the layers."""

from __future__ import annotations

from typing import Any, NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes

from mico_runner.outputs.report.figures import BLUE, GREEN, INK, MUTED, ORANGE, axis_of, grouped, mark, svg
from mico_runner.outputs.report.labels import COSTS, bits_of, point_label
from mico_runner.outputs.report.tables import Table, table
from mico_runner.outputs.report.version import QUALITY, Version
from mico_runner.tasks.base import Measure

_SHOWN_BELOW_BEST = (
    3.0,
    12.0,
)  # accuracy points, least and most: what lies lower is counted, not drawn, or it flattens the plot
_WRITTEN = 200  # cells of the heat map whose numbers are still readable


def part(version: Version) -> dict[str, Any] | None:
    """What the template shows; None without a search."""
    front = version.csv("search", "front.csv")
    if front is None:
        return None
    learnt = version.csv("search", "sensitivity.csv")
    return {
        "pareto": _pareto(version, front),
        "table": _points(front),
        "regret": table(version.csv("search", "regret.csv")),
        "sensitivity": None if learnt is None else sensitivity(learnt),
        "binding": table(version.csv("search", "binding.csv")),
    }


def cost_of(version: Version, front: pd.DataFrame) -> str | None:
    """The column of the front that is drawn against quality; None: there is none."""
    objectives = version.spec["search"]["objectives"]
    cost = next((o for o in objectives if o in front and o != QUALITY), "latency")
    return cost if cost in front else None


def _pareto(version: Version, front: pd.DataFrame) -> Markup | None:
    cost = cost_of(version, front)
    if cost is None:
        return None
    evaluations, uniform = version.csv("search", "evaluations.csv"), version.csv("evaluate", "uniform.csv")
    if uniform is not None and cost not in uniform:
        uniform = None
    limits = {}
    measure = version.task.MEASURE
    before = version.value(f"train.validation_{measure.name}")
    if before is not None:
        limits[QUALITY] = (before, "float network")
    bound = (version.spec["search"].get("constraints") or {}).get(cost) or {}
    int8 = version.value(f"evaluate.int8.{cost}")
    if "max" in bound and (bound.get("relative_to") is None or int8):
        limits["cost"] = (bound["max"] * (int8 if bound.get("relative_to") else 1), "limit asked for")
    axis = CostAxis(cost, COSTS[cost] + (f", {version.unit}" if cost == "latency" else ""), version.unit)
    joined = set(version.spec["search"]["objectives"]) == {QUALITY, cost}
    return Markup(pareto(front, evaluations, uniform, measure, axis, limits, joined))


def _points(front: pd.DataFrame) -> Table | None:
    """The front without its bits."""
    shown = front[[c for c in front if not str(c).endswith((".w", ".a"))]]
    order = "latency" if "latency" in shown else "flash_bytes"
    return table(shown.sort_values(order) if order in shown else shown, mark="chosen")


class CostAxis(NamedTuple):
    """The cost that quality is drawn over: a column of all tables, the text of its axis, and the unit of latencies."""

    cost: str
    label: str
    unit: str


def pareto(
    front: pd.DataFrame,
    evaluations: pd.DataFrame | None,
    uniform: pd.DataFrame | None,
    measure: Measure,
    axis: CostAxis,
    limits: dict[str, tuple[float, str]],
    joined: bool,
) -> str:
    """Quality over a cost, with the chosen point; each point says its bits and costs.

    Args:
        limits: "quality" and "cost" -> the bound to draw and its name.
        joined: connect the front's points; only right when quality and `cost` are the only objectives.
    """
    column = f"validation_{measure.name}"
    cost, label, unit = axis

    def draw(ax: Axes) -> None:
        worst = _worst_shown(front[column], measure)
        if evaluations is not None:
            low = _worse(evaluations[column], worst, measure)
            shown = evaluations[~low]
            name = f"evaluated ({len(evaluations)}" + (f", {low.sum()} below the frame)" if low.any() else ")")
            ax.scatter(shown[cost], shown[column], s=14, color="#b9c3cd", lw=0, label=name)
        points = front.sort_values(cost)
        if joined:
            ax.plot(points[cost], points[column], color=BLUE, lw=1.3, drawstyle="steps-post")
        urls = [mark(point_label(row, measure, unit, bits_of(row))) for row in points.to_dict("records")]
        ax.scatter(points[cost], points[column], s=27, color=BLUE, zorder=3, label="front", urls=urls)
        if uniform is not None:
            shown = uniform[~_worse(uniform[column], worst, measure)]
            rows = shown.to_dict("records")
            names = [f"w{row['weight_bits']:g} a{row['act_bits']:g}" for row in rows]
            said = [
                mark(point_label(row, measure, unit, f"{of} everywhere")) for row, of in zip(rows, names, strict=True)
            ]
            ax.scatter(
                shown[cost], shown[column], marker="^", s=34, color=MUTED, label="same bits everywhere", urls=said
            )
            for row, name in zip(rows, names, strict=True):
                at = (row[cost], row[column])
                ax.annotate(name, at, (5, -11), textcoords="offset points", fontsize=8, color="#5d6975")
        for chosen in front[front["chosen"] == 1].to_dict("records"):
            at = (chosen[cost], chosen[column])
            url = mark("chosen\n" + point_label(chosen, measure, unit, bits_of(chosen)))
            look: dict[str, Any] = {"marker": "*", "s": 260, "color": ORANGE, "edgecolor": "white", "lw": 0.8}
            ax.scatter(*at, zorder=5, label="chosen", urls=[url], **look)
        if "quality" in limits:
            ax.axhline(limits["quality"][0], color=GREEN, lw=1, ls="--", label=limits["quality"][1])
        if "cost" in limits:
            ax.axvline(limits["cost"][0], color="#b5413b", lw=1, ls=":", label=limits["cost"][1])
        if measure.higher:
            ax.set_ylim(bottom=max(worst, ax.get_ylim()[0]))
        else:
            ax.set_ylim(top=min(worst, ax.get_ylim()[1]))
        ax.set(xlabel=label, ylabel=axis_of(measure))
        ax.xaxis.set_major_formatter(grouped)
        ax.legend(loc="upper left", bbox_to_anchor=(1.03, 1), fontsize=8.5)

    return svg("pareto", (9.4, 4.1), draw)


def sensitivity(learnt: pd.DataFrame) -> Markup:
    """Heat map, layers by bits: what each choice adds to the loss of the most bits.

    Args:
        learnt: columns layer, weight_bits, act_bits, loss; a row for each choice that a layer may take.
    """
    names = [f"w{w:g} a{a:g}" for w, a in zip(learnt["weight_bits"], learnt["act_bits"], strict=True)]
    added = learnt.assign(bits=names).pivot(index="layer", columns="bits", values="loss")
    added = added.loc[learnt["layer"].drop_duplicates().tolist(), list(dict.fromkeys(names))]
    values = added.to_numpy(float)
    layers, choices = [str(name) for name in added.index], [str(name) for name in added.columns]

    def draw(ax: Axes) -> None:
        most = max(float(np.nanmax(np.abs(values))), 1e-300)
        shades = matplotlib.colormaps["YlOrRd"]
        ax.set(xlim=(-0.5, len(choices) - 0.5), ylim=(len(layers) - 0.5, -0.5))
        for row, column in np.argwhere(np.isfinite(values)):
            value = values[row, column]
            label = f"{layers[row]} at {choices[column]}: {value:+.3g} of loss"
            at = (column - 0.5, row - 0.5)
            cell = matplotlib.patches.Rectangle(at, 1, 1, facecolor=shades(max(value, 0) / most), edgecolor="white")
            cell.set_url(mark(label, layers[row]))
            ax.add_patch(cell)
            if values.size <= _WRITTEN:
                shade = "white" if value > 0.6 * most else INK
                ax.text(column, row, f"{value:.2g}", ha="center", va="center", fontsize=8, color=shade)
        ax.set_xticks(range(len(choices)), choices, rotation=0 if len(choices) < 9 else 90)
        ax.set_yticks(range(len(layers)), layers)
        ax.grid(visible=False)

    return Markup(svg("sensitivity", (max(4.0, 0.75 * len(choices) + 1.6), 0.32 * len(layers) + 0.9), draw))


def _worst_shown(qualities: pd.Series, measure: Measure) -> float:
    """The quality below which points are counted, not drawn: from the front's spread, in points of accuracy within bounds."""
    best, worst = (qualities.max(), qualities.min()) if measure.higher else (qualities.min(), qualities.max())
    spread = 4 * abs(best - worst)
    if measure.unit == "%":
        return float(max(best - np.clip(spread, *_SHOWN_BELOW_BEST), 0))
    return measure.goodness(measure.goodness(float(best)) - (spread or abs(float(best)) or 1.0))


def _worse(qualities: pd.Series, than: float, measure: Measure) -> pd.Series:
    return qualities < than if measure.higher else qualities > than
