"""The report's figures on attention to fewer keys."""

from __future__ import annotations

from typing import Any

import pandas as pd
from markupsafe import Markup

from mico_runner.outputs.report.figures import BLUE, MUTED, ORANGE, svg
from mico_runner.outputs.report.tables import table
from mico_runner.outputs.report.version import Version

SIZE = (7.6, 2.8)
DRAWN = 5.0  # % of the loss: settings that raise it by more are left out, or they flatten the plot


def part(version: Version) -> dict[str, object] | None:
    """What the template shows, from two files of the step `filter`; None without them."""
    settings, density = version.csv("filter", "settings.csv"), version.csv("filter", "density.csv")
    if settings is None or density is None:
        return None
    figure = svg("filter", SIZE, lambda axes: _draw(axes, settings, density), panels=2)
    return {"figure": Markup(figure), "settings": table(settings.sort_values("bit_products"))}


def _draw(axes: Any, settings: pd.DataFrame, density: pd.DataFrame) -> None:
    left, right = axes
    shown, chosen = settings[settings["rise"] <= DRAWN], settings[settings["chosen"] == 1]
    left.scatter(100 * shown["density"], shown["rise"], s=9, color=MUTED, label="setting")
    left.scatter(100 * chosen["density"], chosen["rise"], marker="*", s=90, color=ORANGE, zorder=5, label="chosen")
    left.set(xlabel="keys that are left, %", ylabel="rise of the loss, %")
    left.legend(fontsize=7.5)
    for head, its in density.groupby("head"):
        right.plot(
            range(len(its)), 100 * its["density"], color=BLUE, alpha=0.6, marker="o", ms=3, lw=0.8, label=f"head {head}"
        )
    right.set(xlabel="layer", ylabel="keys that are left, %", ylim=(0, None))
