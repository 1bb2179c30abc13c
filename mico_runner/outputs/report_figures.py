"""The report's figures as inline SVG: same data, same bytes."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from mico_runner.tasks.base import Measure, Task

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

INK, MUTED, BLUE, ORANGE, GREEN = "#1d2733", "#8a96a3", "#2563a8", "#e07b1a", "#2f8f5b"
PALETTE = (BLUE, ORANGE, GREEN, "#8054a8", "#b5413b", "#5d7187", "#b08a1e", "#2a9aa0")
_SMALLEST = 0.62  # of a figure's natural size: smaller text is not readable, the page scrolls instead
_STYLE: dict[RcKeyType, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e6eaee",
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
}
_SHOWN_BELOW_BEST = (
    3.0,
    12.0,
)  # accuracy points, least and most: what lies lower is counted, not drawn, or it flattens the plot


def pareto(
    front: pd.DataFrame,
    evaluations: pd.DataFrame | None,
    uniform: pd.DataFrame | None,
    measure: Measure,
    cost: str,
    label: str,
    limits: dict[str, tuple[float, str]],
    joined: bool,
) -> str:
    """Quality over `cost` (a column of all three tables), with the chosen point.

    Args:
        limits: "quality" and "cost" -> the bound to draw and its name.
        joined: connect the front's points; only right when quality and `cost` are the only objectives.
    """

    def draw(ax: Axes) -> None:
        column = f"validation_{measure.name}"
        worst = _worst_shown(front[column], measure)
        if evaluations is not None:
            low = _worse(evaluations[column], worst, measure)
            shown = evaluations[~low]
            name = f"evaluated ({len(evaluations)}" + (f", {low.sum()} below the frame)" if low.any() else ")")
            ax.scatter(shown[cost], shown[column], s=14, color="#b9c3cd", lw=0, label=name)
        points = front.sort_values(cost)
        line: dict[str, Any] = {"linestyle": "-", "drawstyle": "steps-post"} if joined else {"linestyle": "none"}
        ax.plot(points[cost], points[column], color=BLUE, marker="o", ms=5, lw=1.3, label="front", **line)
        if uniform is not None:
            shown = uniform[~_worse(uniform[column], worst, measure)]
            ax.scatter(shown[cost], shown[column], marker="^", s=34, color=MUTED, label="same bits everywhere")
            for row in shown.to_dict("records"):
                text = f"w{row['weight_bits']:g} a{row['act_bits']:g}"
                at = (row[cost], row[column])
                ax.annotate(text, at, (5, -11), textcoords="offset points", fontsize=8, color="#5d6975")
        for chosen in front[front["chosen"] == 1].to_dict("records"):
            at = (chosen[cost], chosen[column])
            ax.scatter(*at, marker="*", s=260, color=ORANGE, edgecolor="white", lw=0.8, zorder=5, label="chosen")
        if "quality" in limits:
            ax.axhline(limits["quality"][0], color=GREEN, lw=1, ls="--", label=limits["quality"][1])
        if "cost" in limits:
            ax.axvline(limits["cost"][0], color="#b5413b", lw=1, ls="--", label=limits["cost"][1])
        if measure.higher:
            ax.set_ylim(bottom=max(worst, ax.get_ylim()[0]))
        else:
            ax.set_ylim(top=min(worst, ax.get_ylim()[1]))
        ax.set(xlabel=label, ylabel=_of(measure))
        ax.xaxis.set_major_formatter(grouped)
        ax.legend(loc="upper left", bbox_to_anchor=(1.03, 1), fontsize=8.5)

    return svg("pareto", (9.4, 4.1), draw)


def bits(layers: list[str], weights: list[float], activations: list[float]) -> str:
    """Weight and activation bits of each layer, as bars."""

    def draw(ax: Axes) -> None:
        place = np.arange(len(layers))
        for offset, values, color, label in (
            (-0.2, weights, BLUE, "weights"),
            (0.2, activations, ORANGE, "activations"),
        ):
            bars = ax.bar(place + offset, values, 0.38, color=color, label=label)
            ax.bar_label(bars, [f"{v:g}" for v in values], fontsize=8, color=INK, padding=1)
        long = max(map(len, layers)) * len(layers) > 80
        ax.set_xticks(place, layers, rotation=90 if long else 0)
        ax.set(ylabel="bits", yticks=[0, 2, 4, 6, 8], ylim=(0, 9.4))
        ax.grid(axis="x", visible=False)
        ax.legend(ncols=2, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)

    return svg("bits", (7.6, 2.7), draw)


def layer_latency(layers: pd.DataFrame, unit: str, measured: str) -> str:
    """Predicted and measured latency of each layer of the network, as bars; `measured` is what the latter are called."""

    def draw(ax: Axes) -> None:
        place = np.arange(len(layers))[::-1]
        ax.barh(place + 0.2, layers["predicted"], 0.38, color=BLUE, label="predicted")
        if "measured" in layers:
            ax.barh(place - 0.2, layers["measured"], 0.38, color=ORANGE, label=measured)
        ax.set_yticks(place, layers["layer"])
        ax.set_xlabel(unit)
        ax.xaxis.set_major_formatter(grouped)
        ax.grid(axis="y", visible=False)
        ax.legend(ncols=2, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)

    return svg("layers", (7.6, 1.3 + 0.34 * len(layers)), draw)


def training(history: pd.DataFrame, measure: Measure) -> str:
    """Loss and quality on the validation part by epoch."""

    def draw(axes: np.ndarray) -> None:
        axes[0].plot(history["epoch"], history["train_loss"], color=BLUE)
        axes[0].set(xlabel="epoch", ylabel="training loss")
        axes[1].plot(history["epoch"], history[f"validation_{measure.name}"], color=GREEN)
        axes[1].set(xlabel="epoch", ylabel=_of(measure))

    return svg("training", (7.6, 2.6), draw, panels=2)


def summary(task: Task, table: pd.DataFrame) -> str:
    """What the task draws of the C program's outputs on the test part."""
    return svg("summary", (3.8, 3.7), lambda ax: task.draw(table, ax))


def _of(measure: Measure) -> str:
    """Label of an axis."""
    return f"validation {measure.name}, {measure.unit}".rstrip(", ")


def _worst_shown(qualities: pd.Series, measure: Measure) -> float:
    """The quality below which points are counted, not drawn: from the front's spread, in points of accuracy within bounds."""
    best, worst = (qualities.max(), qualities.min()) if measure.higher else (qualities.min(), qualities.max())
    spread = 4 * abs(best - worst)
    if measure.unit == "%":
        return float(max(best - np.clip(spread, *_SHOWN_BELOW_BEST), 0))
    return measure.goodness(measure.goodness(float(best)) - (spread or abs(float(best)) or 1.0))


def _worse(qualities: pd.Series, than: float, measure: Measure) -> pd.Series:
    return qualities < than if measure.higher else qualities > than


def arena(memory: pd.DataFrame) -> str:
    """Each buffer as a box: from the first to the last kernel call that needs it, at its place in the arena."""

    def draw(ax: Axes) -> None:
        top = (memory["offset"] + memory["bytes"]).max()
        for index, row in enumerate(memory.to_dict("records")):
            width = row["last_node"] - row["first_node"] + 1
            at = (row["first_node"] - 0.5, row["offset"])
            color = PALETTE[index % len(PALETTE)]
            box = matplotlib.patches.Rectangle(at, width, row["bytes"], facecolor=color, alpha=0.75, edgecolor="white")
            ax.add_patch(box)
            if row["bytes"] > 0.05 * top:
                middle = (at[0] + width / 2, row["offset"] + row["bytes"] / 2)
                ax.text(*middle, row["tensor"], ha="center", va="center", fontsize=7.5, color="white")
        ax.set_xlim(memory["first_node"].min() - 0.5, memory["last_node"].max() + 0.5)
        ax.set_ylim(0, top * 1.02)
        ax.xaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]  # it is a MaxNLocator
        ax.yaxis.set_major_formatter(grouped)
        ax.set(xlabel="kernel call", ylabel="offset in the arena, bytes")

    return svg("arena", (7.6, 3.1), draw)


def flash(sections: pd.DataFrame) -> str:
    """Bytes of constant tables by layer (the part of the section's name before the last dot)."""
    names = sections["section"].str.rpartition(".")
    table = pd.DataFrame({"layer": names[0], "part": names[2], "bytes": sections["bytes"]})
    table.loc[table["layer"] == "", "layer"] = table["part"]
    layers, parts = list(dict.fromkeys(table["layer"])), list(dict.fromkeys(table["part"]))
    sums = table.groupby(["layer", "part"])["bytes"].sum()

    def draw(ax: Axes) -> None:
        place, left = np.arange(len(layers))[::-1], np.zeros(len(layers))
        for index, part in enumerate(parts):
            width = np.array([sums.get((layer, part), 0) for layer in layers])
            ax.barh(place, width, 0.6, left=left, color=PALETTE[index % len(PALETTE)], label=part)
            left += width
        ax.set_yticks(place, layers)
        ax.set_xlabel("bytes")
        ax.xaxis.set_major_formatter(grouped)
        ax.grid(axis="y", visible=False)
        ax.legend(ncols=4, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)

    return svg("flash", (7.6, 1.3 + 0.32 * len(layers)), draw)


def grouped(value: float, _: float) -> str:
    return f"{value:,.10g}".replace(",", "\u2009")


def svg(name: str, size: tuple[float, float], draw: Callable[..., None], panels: int = 1, rows: int = 1) -> str:
    """An <svg> element that shrinks with the window, to a point; `draw` gets the axes, an array of them for several panels."""
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.subplots(rows, panels))
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, dpi=130, transparent=True)
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace('id="', f'id="{name}-').replace("url(#", f"url(#{name}-")
    text = text.replace('xlink:href="#', f'xlink:href="#{name}-')
    style = f'style="max-width:{72 * size[0]:.0f}pt; min-width:{_SMALLEST * 72 * size[0]:.0f}pt"'
    return re.sub(r'(<svg [^>]*?)width="[\d.]+pt" height="[\d.]+pt"', rf"\1{style}", text, count=1)
