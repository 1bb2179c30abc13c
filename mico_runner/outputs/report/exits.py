"""The report's figures on networks that end early."""

from __future__ import annotations

from typing import Any

import pandas as pd
from markupsafe import Markup

from mico_runner.outputs.report.figures import BLUE, ORANGE, PALETTE, svg
from mico_runner.outputs.report.tables import table
from mico_runner.outputs.report.version import Version

MILLI = 1e3
SIZE = (7.6, 2.8)


def part(version: Version) -> dict[str, object] | None:
    """What the template shows, from two files of the step `exits`; None without them."""
    stages, front = version.csv("exits", "stages.csv"), version.csv("exits", "front.csv")
    if stages is None or front is None:
        return None
    figure = svg("exits", SIZE, lambda axes: _draw(axes, stages, front), panels=2)
    return {"figure": Markup(figure), "stages": table(stages)}


def _draw(axes: Any, stages: pd.DataFrame, front: pd.DataFrame) -> None:
    left, right = axes
    chosen = front[front["chosen"] == 1]
    left.plot(
        MILLI * front["joules"], front["accuracy"], color=BLUE, marker="o", ms=2.5, lw=1.1, label="best of all choices"
    )
    left.scatter(MILLI * chosen["joules"], chosen["accuracy"], marker="*", s=90, color=ORANGE, zorder=5, label="chosen")
    left.set(xlabel="expected energy, mJ", ylabel="accuracy on the validation part, %")
    left.legend(fontsize=7.5, loc="lower right")
    begin = 0.0
    columns = (stages[name].tolist() for name in ("cycles", "share", "hertz", "volt"))
    for cycles, share, hertz, volt, colour in zip(*columns, PALETTE, strict=False):
        width = cycles / 1e6
        right.bar(begin, 100 * share, width, align="edge", color=colour, label=f"{hertz / 1e6:g} MHz, {volt:g} V")
        begin += width
    right.set(xlabel="million cycles", ylabel="samples that compute so far, %", ylim=(0, 100))
    right.legend(fontsize=7.5)
