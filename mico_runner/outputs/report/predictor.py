"""The report's figures and tables on the latency predictor: where it is right, and where it is not."""

from __future__ import annotations

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator

from mico_runner.outputs.report.figures import BLUE, INK, MARKERS, MUTED, ORANGE, PALETTE, grouped, svg
from mico_runner.outputs.report.tables import Table, table
from mico_runner.outputs.report.version import Version

_WORST = 10
_BAND = 0.05  # of the figure of whole networks
_SHOWN_SHAPES = 60  # bars that can still be told apart


def devices(version: Version) -> dict[str, Table | Markup | None] | None:
    """What few measured networks say about all others, on devices tested as if they were new; None without such a test."""
    summary, places = version.csv("fit", "summary.csv"), version.csv("fit", "embedding.csv")
    if summary is None or places is None:
        return None
    return {"summary": table(summary), "embedding": Markup(embedding(places))}


def predicted_measured(points: dict[str, pd.DataFrame], unit: str) -> str:
    """One panel per entry of `points` (title -> columns measured, predicted, act_bits, weight_bits), all on the same logarithmic axes.

    Shapes not seen are coloured by the wider of both bit-widths; training rows are grey.
    """
    values = np.concatenate([p[["measured", "predicted"]].to_numpy().ravel() for p in points.values()])
    positive = values[values > 0]
    low, high = positive.min() / 1.5, positive.max() * 1.5
    widths = sorted({int(w) for p in points.values() for w in _width(p)})
    looks = {bits: (PALETTE[i % len(PALETTE)], MARKERS[i % len(MARKERS)]) for i, bits in enumerate(widths)}

    def draw(axes: np.ndarray) -> None:
        for ax, (title, part) in zip(np.atleast_1d(axes), points.items(), strict=True):
            ax.plot([low, high], [low, high], color=MUTED, lw=0.9)
            width = _width(part)
            for bits in widths:
                rows = part[width == bits]
                colour, marker = looks[bits]
                colour = MUTED if "in-sample" in title else colour
                look = {"s": 5, "alpha": 0.6, "lw": 0, "color": colour, "marker": marker}
                ax.scatter(rows["measured"], rows["predicted"], label=bits, rasterized=True, **look)
            ax.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high), aspect="equal")
            ax.minorticks_off()  # hundreds of labels to lay out, for nothing
            ax.set_xlabel(f"measured, {unit}")
            ax.set_title(title, fontsize=9.5, color=INK)
        first = np.atleast_1d(axes)[0]
        first.set_ylabel(f"predicted, {unit}")
        if len(widths) > 1:
            first.legend(title="wider bits", fontsize=7.5, title_fontsize=7.5, markerscale=2.5, loc="upper left")

    return svg("predicted", (3.3 * len(points), 3.5), draw, panels=len(points))


def networks(measured: pd.DataFrame, unit: str) -> str:
    """Whole networks of random bits: measured and predicted (columns of `measured`), and a band of 5 % around equality."""
    low, high = (
        0.95 * measured[["measured", "predicted"]].min().min(),
        1.05 * measured[["measured", "predicted"]].max().max(),
    )

    def draw(ax: Axes) -> None:
        ends = np.array([low, high])
        ax.fill_between(ends, (1 - _BAND) * ends, (1 + _BAND) * ends, color=MUTED, alpha=0.25, lw=0, label="within 5 %")
        ax.plot(ends, ends, color=MUTED, lw=0.9)
        ax.scatter(measured["measured"], measured["predicted"], s=14, color=BLUE, lw=0)
        ax.set(xlim=(low, high), ylim=(low, high), aspect="equal")
        ax.set(xlabel=f"measured, {unit}", ylabel=f"predicted, {unit}")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator(4))
            axis.set_major_formatter(grouped)
        ax.legend(fontsize=7.5, loc="upper left")

    return svg("networks", (4.2, 4.0), draw)


def errors(kind: str, points: pd.DataFrame) -> str:
    """Error on shapes not seen by pair of bits, by size, and by shape, worst first."""
    points = points.assign(error=100 * (points["predicted"] / points["measured"] - 1))
    points["ape"] = points["error"].abs()

    def draw(axes: np.ndarray) -> None:
        _by_bits(axes[0], points)
        _by_size(axes[1], points)
        _by_shape(axes[2], points)

    return svg(f"errors-{kind}", (10.2, 3.1), draw, panels=3)


def worst(points: pd.DataFrame) -> pd.DataFrame:
    """The ten rows with the largest errors: shape (columns that vary), bits, measured, predicted, error in %."""
    error = 100 * (points["predicted"] / points["measured"] - 1)
    order = error.abs().sort_values(ascending=False, kind="stable").index[:_WORST]
    left_out = ("row", "protocol", "group", "lower", "upper")
    rows = points.loc[order, [c for c in points if c not in left_out and (c == "kind" or points[c].nunique() > 1)]]
    return rows.assign(error_percent=error[order])


def learning(curve: pd.DataFrame) -> str:
    """Error on unseen shapes against the number of profiled rows, mean and range over the repeats, a panel per kind."""
    kinds = list(dict.fromkeys(curve["kind"]))
    looks = {"random": (MUTED, "o", ":"), "lhs": (BLUE, "s", "--"), "adaptive": (ORANGE, "^", "-")}

    def draw(axes: np.ndarray) -> None:
        for ax, kind in zip(np.atleast_1d(axes), kinds, strict=True):
            for sampler, rows in curve[curve["kind"] == kind].groupby("sampler", sort=False):
                by_size = 100 * rows.groupby("rows")["mape"].agg(["mean", "min", "max"])
                colour, marker, line = looks[sampler]
                ax.plot(
                    by_size.index, by_size["mean"], color=colour, marker=marker, ls=line, ms=3, lw=1.3, label=sampler
                )
                ax.fill_between(by_size.index, by_size["min"], by_size["max"], color=colour, alpha=0.13, lw=0)
            ax.set(xscale="log", yscale="log", xlabel="profiled rows", ylabel="error on unseen shapes, %")
            for axis in (ax.xaxis, ax.yaxis):
                axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axis.set_major_formatter(grouped)
            ax.minorticks_off()
            ax.set_title(kind, fontsize=9.5, color=INK)
            ax.legend(fontsize=8)

    return svg("learning", (4.6 * len(kinds), 3.1), draw, panels=len(kinds))


def embedding(devices: pd.DataFrame) -> str:
    """A panel per split: each device (columns split, device, role, x, y) where its costs put it."""
    splits = list(dict.fromkeys(devices["split"]))
    columns = min(len(splits), 3)
    rows = -(-len(splits) // columns)
    looks = {"source": (BLUE, "o"), "target": (ORANGE, "^"), "computed": (MUTED, "s")}

    def draw(axes: np.ndarray) -> None:
        panels = np.atleast_1d(axes).ravel()
        for ax in panels[len(splits) :]:
            ax.set_axis_off()
        for ax, split in zip(panels, splits, strict=False):
            part = devices[devices["split"] == split]
            for role, points in part.groupby("role", sort=False):
                colour, marker = looks[str(role)]
                ax.scatter(points["x"], points["y"], s=16, lw=0, color=colour, marker=marker, label=role)
            for device, x, y in zip(part["device"], part["x"], part["y"], strict=True):
                ax.annotate(device, (x, y), fontsize=6, color=INK, xytext=(2, 2), textcoords="offset points")
            ax.set(xticks=[], yticks=[])
            ax.set_title(split, fontsize=9.5, color=INK)
        panels[0].legend(fontsize=7.5)

    return svg("devices", (3.6 * columns, 3.2 * rows), draw, panels=columns, rows=rows)


def _width(points: pd.DataFrame) -> np.ndarray:
    return points[["act_bits", "weight_bits"]].max(axis=1).to_numpy()


def _by_bits(ax: Axes, points: pd.DataFrame) -> None:
    matrix = points.pivot_table(index="act_bits", columns="weight_bits", values="ape")
    ax.imshow(matrix, cmap="Oranges", vmin=0, origin="lower", aspect="auto", rasterized=True)
    for (row, column), value in np.ndenumerate(matrix.to_numpy()):
        if np.isfinite(value):
            dark = value > 0.6 * np.nanmax(matrix.to_numpy())
            ax.text(column, row, f"{value:.1f}", ha="center", va="center", fontsize=7.5, color="white" if dark else INK)
    ax.set_xticks(range(matrix.shape[1]), [f"{b:g}" for b in matrix.columns])
    ax.set_yticks(range(matrix.shape[0]), [f"{b:g}" for b in matrix.index])
    ax.grid(visible=False)
    ax.set(xlabel="weight bits", ylabel="activation bits")
    ax.set_title("mean error by bits, %", fontsize=9.5, color=INK)


def _by_size(ax: Axes, points: pd.DataFrame) -> None:
    size, name = (points["macs"], "MACs") if points["macs"].max() > 0 else (points["measured"], "measured latency")
    ax.scatter(size, points["error"], s=4, alpha=0.4, lw=0, color=BLUE, rasterized=True)
    ax.axhline(0, color=MUTED, lw=0.9)
    ax.set(xscale="log", xlabel=name, ylabel="error, %")
    ax.minorticks_off()
    ax.set_title("error by size", fontsize=9.5, color=INK)


def _by_shape(ax: Axes, points: pd.DataFrame) -> None:
    by_shape = points.groupby("group")["ape"].mean().sort_values(ascending=False)
    shown = by_shape.head(_SHOWN_SHAPES)
    ax.bar(range(len(shown)), shown, color=BLUE, width=0.9)
    ax.axhline(points["ape"].mean(), color=ORANGE, lw=1, label="mean")
    rest = f", worst {_SHOWN_SHAPES} of {len(by_shape)}" if len(by_shape) > len(shown) else ""
    ax.set(xlabel=f"shapes{rest}", ylabel="mean error, %", xticks=[])
    ax.grid(axis="x", visible=False)
    ax.legend(fontsize=8)
    ax.set_title("mean error by shape", fontsize=9.5, color=INK)
