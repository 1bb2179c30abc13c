"""The report's figures on network and accelerator designed together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes

from mico_runner.outputs.report_figures import INK, MUTED, PALETTE, svg
from mico_runner.outputs.report_tables import table

_MOST = 3.0  # times the optimum: what lies higher is drawn at the edge


def cases(rows: pd.DataFrame) -> dict[str, Any]:
    """Proven optima of layers whose costs stand in tables, and how far above them other searches end.

    Args:
        rows: columns network, objective, resource, share, value, bound, gap and a column `<search>_ratio` for each search.
    """
    searches = [str(name).removesuffix("_ratio") for name in rows if str(name).endswith("_ratio")]

    def draw(ax: Axes) -> None:
        place = np.arange(len(rows))
        ax.fill_between([-0.5, len(rows) - 0.5], 0, 1, color="#eef2f5", lw=0, label="proven: no design is here")
        for number, name in enumerate(searches):
            ratio = rows[f"{name}_ratio"].to_numpy()
            shown = np.minimum(np.where(np.isfinite(ratio), ratio, np.inf), _MOST)
            color = MUTED if name == "uniform" else PALETTE[number % len(PALETTE)]
            ax.scatter(place, shown, s=14, color=color, label=name)
        ax.axhline(1, color=INK, lw=1)
        ax.set(ylabel="times the optimum", ylim=(0.9, _MOST + 0.05), xlim=(-0.5, len(rows) - 0.5))
        first = rows.reset_index(drop=True).groupby("network", sort=False).apply(lambda part: part.index[0])
        ax.set_xticks(list(first), list(first.index), ha="left")
        ax.grid(axis="x", visible=False)
        ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=8.5)

    return {"figure": Markup(svg("codesign", (9.4, 3.6), draw)), "table": table(rows)}
