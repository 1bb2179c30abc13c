"""The report's part on devices that are known by their curves: latencies of networks, and the curves over each other."""

from __future__ import annotations

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes

from mico_runner.outputs.report.figures import INK, svg
from mico_runner.outputs.report.tables import table
from mico_runner.outputs.report.version import Version

_COLUMNS = 4
_MARKERS = "osD^vx+*"  # of the sources, which colours alone would not tell apart in print


def part(version: Version) -> dict[str, object] | None:
    """What the template shows; None where nothing was estimated."""
    networks, found = version.csv("estimate", "networks.csv"), version.csv("estimate", "rates.csv")
    return None if networks is None or found is None else {"networks": table(networks), "figure": Markup(rates(found))}


def rates(found: pd.DataFrame) -> str:
    """A panel per operation: FLOP/s over FLOPs of every source, the median at each size."""
    operations = list(dict.fromkeys(found["op"]))
    names = found["device"] + " " + found["precision"]
    sources = list(dict.fromkeys(names))
    rows = -(-(len(operations) + 1) // _COLUMNS)

    def draw(axes: np.ndarray) -> None:
        flat = np.atleast_1d(axes).ravel()
        for ax, op in zip(flat, operations, strict=False):
            for i, source in enumerate(sources):
                _rate(ax, found[(found["op"] == op) & (names == source)], i, source)
            ax.set(xscale="log", yscale="log", xlabel="FLOPs", ylabel="FLOP/s")
            ax.minorticks_off()
            ax.set_title(op, fontsize=8.5, color=INK)
            ax.tick_params(labelsize=7)
        for ax in flat[len(operations) :]:
            ax.set_axis_off()
        flat[-1].legend(*flat[0].get_legend_handles_labels(), fontsize=7, loc="center")

    return svg("rates", (2.6 * _COLUMNS, 2.1 * rows), draw, panels=_COLUMNS, rows=rows)


def _rate(ax: Axes, rows: pd.DataFrame, number: int, source: str) -> None:
    """One source's rates of one operation: a thin line, and a thick one over the sizes that its curve stands on."""
    colour, marker = f"C{number}", _MARKERS[number % len(_MARKERS)]
    median = rows.groupby("flops")["flops_per_s"].median()
    style = "--" if (rows["standing"] == "ASSUMED").all() else ":"
    ax.plot(median.index, median, color=colour, lw=0.9, ls=style, marker=marker, ms=2.5, label=source)
    known = rows[rows["standing"] == "measured"].groupby("flops")["flops_per_s"].median()
    ax.plot(known.index, known, color=colour, lw=1.6)
