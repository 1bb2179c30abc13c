"""The report's figures on network and accelerator designed together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes

from mico_runner.outputs.report.figures import INK, MARKERS, MUTED, PALETTE, svg
from mico_runner.outputs.report.tables import table
from mico_runner.outputs.report.version import Version

_DRAWN = 500  # designs left out that are drawn, those of least bounds
_MOST = 3.0  # times the optimum: what lies higher is drawn at the edge


def part(version: Version) -> dict[str, object] | None:
    """What the template shows; None where nothing was designed together."""
    found, every = version.csv("codesign", "cases.csv"), version.csv("codesign", "designs.csv")
    if found is None:
        return None
    return designs(found, every) if every is not None and "status" in every else cases(found)


def cases(rows: pd.DataFrame) -> dict[str, object]:
    """Proven optima of layers whose costs stand in tables, and how far above them other searches end.

    Args:
        rows: columns network, objective, resource, share, value, bound, gap and a column `<search>_ratio` for each search.
    """
    searches = [str(name).removesuffix("_ratio") for name in rows if str(name).endswith("_ratio")]
    if not searches:
        return {"figure": None, "table": table(rows)}

    def draw(ax: Axes) -> None:
        place = np.arange(len(rows))
        ax.fill_between([-0.5, len(rows) - 0.5], 0, 1, color="#eef2f5", lw=0, label="proven: no design is here")
        for number, name in enumerate(searches):
            ratio = rows[f"{name}_ratio"].to_numpy()
            shown = np.minimum(np.where(np.isfinite(ratio), ratio, np.inf), _MOST)
            color = MUTED if name == "uniform" else PALETTE[number % len(PALETTE)]
            ax.scatter(place, shown, s=14, color=color, marker=MARKERS[number % len(MARKERS)], label=name)
        ax.axhline(1, color=INK, lw=1)
        ax.set(ylabel="times the optimum", ylim=(0.9, _MOST + 0.05), xlim=(-0.5, len(rows) - 0.5))
        first = rows.reset_index(drop=True).groupby("network", sort=False).apply(lambda part: part.index[0])
        ax.set_xticks(list(first), list(first.index), ha="left")
        ax.grid(axis="x", visible=False)
        ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=8.5)

    return {"figure": Markup(svg("codesign", (9.4, 3.6), draw)), "table": table(rows)}


def designs(rows: pd.DataFrame, every: pd.DataFrame) -> dict[str, object]:
    """Designs of an accelerator: the front of value and elements, what was cut, and the region that no design reaches.

    Args:
        rows: a row per network and objective, with value and bound.
        every: a row per design of each: network, objective, elements, bound, value, status.
    """
    panels = len(rows)

    def draw(axes: Any) -> None:
        for ax, case in zip(np.atleast_1d(axes), rows.to_dict("records"), strict=True):
            mine = every[(every["network"] == case["network"]) & (every["objective"] == case["objective"])]
            mine = mine[np.isfinite(mine["bound"])]
            ends = (mine["elements"].min(), mine["elements"].max())
            least = mine.groupby("elements")["bound"].min()
            ax.fill_between(least.index, 0, least, step="mid", color="#eef2f5", lw=0, label="proven: no design is here")
            cut = mine[mine["value"].isna()].nsmallest(_DRAWN, "bound")
            ax.scatter(cut["elements"], cut["bound"], s=9, color=MUTED, marker="_", label="bounds of the others")
            known = mine[mine["value"].notna()].sort_values(["elements", "value"])
            front = known[known["value"] < known["value"].cummin().shift(fill_value=np.inf)]
            ax.plot(
                front["elements"], front["value"], color=PALETTE[0], marker="o", ms=4, lw=1.3, label="mapped, front"
            )
            ax.axhline(case["bound"], color=INK, lw=1, ls="--", label="bound of all")
            ax.set(xscale="log", xlabel="elements", title=f"{case['network']}, {case['objective']}")
            ax.set(ylim=(0, 3 * case["value"]), xlim=(ends[0] * 0.8, ends[1] * 1.25))
        ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=8.5)

    figure = Markup(svg("codesign", (3.2 * panels + 2.2, 3.4), draw, panels=panels))
    return {"figure": figure, "table": table(rows)}
