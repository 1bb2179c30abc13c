"""The report's figures on bits that were allocated from layer shapes alone."""

from __future__ import annotations

import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes

from mico_runner.outputs.report import mapping
from mico_runner.outputs.report.figures import BLUE, INK, MUTED, ORANGE, svg
from mico_runner.outputs.report.layers import bits
from mico_runner.outputs.report.tables import table, with_shapes
from mico_runner.outputs.report.version import Version


def part(version: Version) -> dict[str, object] | None:
    """What the template shows; None where no bits were allocated."""
    points, layers = version.csv("allocate", "front.csv"), version.csv("allocate", "layers.csv")
    if points is None or layers is None:
        return None
    asked = version.spec["allocate"]
    bound = asked["constraints"].get(asked["over"])
    limit = bound["max"] if bound and bound["relative_to"] else None
    return _section(points, layers, version.csv("allocate", "trace.csv"), asked["over"], limit)


def _section(
    points: pd.DataFrame, layers: pd.DataFrame, trace: pd.DataFrame | None, over: str, limit: float | None
) -> dict[str, object]:
    """What the template shows.

    Args:
        points: columns which (front, uniform, chosen), sqnr_db, weight_bits, act_bits (of uniform ones), <over>_ratio.
        layers: a row per layer: layer, macs, weight_bits, act_bits, and each cost.
        trace: what the layers' cycles and energy are made of, of `steps.traces`; None: of an earlier run, without.
        over: the cost that the front runs over.
        limit: highest allowed share of INT8's, None where there is none.
    """
    ratio = f"{over}_ratio"

    def draw(ax: Axes) -> None:
        front, uniform, chosen = (points[points["which"] == which] for which in ("front", "uniform", "chosen"))
        ax.plot(100 * front[ratio], front["sqnr_db"], color=BLUE, marker="o", ms=4, lw=1.3, label="best per layer")
        ax.scatter(
            100 * uniform[ratio], uniform["sqnr_db"], marker="^", s=22, color=MUTED, label="same bits everywhere"
        )
        for row in uniform[uniform["weight_bits"] == uniform["act_bits"]].to_dict("records"):
            at = (100 * row[ratio], row["sqnr_db"])
            text = f"w{row['weight_bits']:g} a{row['act_bits']:g}"
            ax.annotate(text, at, (5, -10), textcoords="offset points", fontsize=8, color=INK)
        ax.scatter(
            100 * chosen[ratio],
            chosen["sqnr_db"],
            marker="*",
            s=260,
            color=ORANGE,
            edgecolor="white",
            zorder=5,
            label="chosen",
        )
        if limit is not None:
            ax.axvline(100 * limit, color="#b5413b", lw=1, ls="--", label="limit asked for")
        ax.set(xlabel=f"{over.replace('_', ' ')}, % of INT8's", ylabel="signal to quantisation noise, dB")
        ax.legend(loc="lower right", fontsize=8.5)

    return {
        "front": Markup(svg("allocation", (7.6, 4.1), draw)),
        "bits": Markup(bits(list(layers["layer"]), list(layers["weight_bits"]), list(layers["act_bits"]))),
        "table": table(with_shapes(layers, layers).drop(columns=["in_shape", "out_shape"], errors="ignore")),
        "mapped": mapping.section(trace),
    }
