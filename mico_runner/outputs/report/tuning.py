"""The report's figures on the energy of trainings that recur."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from mico_runner.outputs.report.figures import BLUE, LINES, MUTED, ORANGE, PALETTE, svg
from mico_runner.outputs.report.tables import Table, table
from mico_runner.outputs.report.version import Version

COLUMNS = 3


def part(version: Version) -> dict[str, object] | None:
    """What the template shows, from the three files of the step `tune`; None without them."""
    jobs, settings, recurrences = (version.csv("tune", f"{name}.csv") for name in ("jobs", "settings", "recurrences"))
    if jobs is None or settings is None or recurrences is None:
        return None
    names = list(dict.fromkeys(zip(settings["trace"], settings["job"], strict=True)))
    rows = -(-len(names) // COLUMNS)
    size = (2.7 * COLUMNS, 2.4 * rows)
    fronts = svg("tune-fronts", size, _each(names, settings, _front), panels=COLUMNS, rows=rows)
    regrets = svg("tune-regrets", size, _each(names, recurrences, _regret), panels=COLUMNS, rows=rows)
    shown: Table | None = table(jobs)
    return {"fronts": Markup(fronts), "regrets": Markup(regrets), "jobs": shown}


def _each(names: list[tuple[str, str]], data: pd.DataFrame, draw: Any) -> Any:
    """A panel for each trace and job."""

    def drawn(axes: Any) -> None:
        flat = np.atleast_1d(axes).ravel()
        for ax, (trace, job) in zip(flat, names, strict=False):
            draw(ax, data[(data["trace"] == trace) & (data["job"] == job)])
            ax.set_title(f"{trace} {job}", fontsize=8.5)
        for ax in flat[len(names) :]:
            ax.set_axis_off()
        flat[0].legend(fontsize=7.5)

    return drawn


def _front(ax: Any, settings: pd.DataFrame) -> None:
    """Time and energy to the target of every batch and limit, beside the best."""
    best = settings[settings["best"] == 1].iloc[0]
    near = settings[(settings["seconds"] < 4 * best["seconds"]) & (settings["joules"] < 4 * best["joules"])]
    front = near[near["front"] == 1].sort_values("seconds")
    near, front = ({axis: points[axis] / best[axis] for axis in ("seconds", "joules")} for points in (near, front))
    ax.scatter(near["seconds"], near["joules"], s=7, color=MUTED, label="batch and limit")
    ax.plot(front["seconds"], front["joules"], color=BLUE, marker="o", ms=3, lw=1.1, label="front")
    ax.scatter([1], [1], marker="*", s=90, color=ORANGE, zorder=5, label="cheapest")
    ax.set(xlabel="time", ylabel="energy")


def _regret(ax: Any, recurrences: pd.DataFrame) -> None:
    """Cost beyond the best setting's, summed over the recurrences: the median of the seeds."""
    looks = zip(PALETTE, LINES, recurrences.groupby("policy", sort=False), strict=False)
    for colour, line, (policy, its) in looks:
        beyond = its.pivot(index="recurrence", columns="seed", values="cost") - 1
        ax.plot(beyond.cumsum().median(axis=1), color=colour, ls=line, lw=1.3, label=str(policy))
    ax.set(xlabel="recurrence", ylabel="regret, runs")
