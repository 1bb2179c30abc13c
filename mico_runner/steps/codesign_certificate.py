"""What every kind of co-design proves: cases.csv, certificate.json and their metrics."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mico_runner.steps.base import StepContext

if TYPE_CHECKING:
    import pandas as pd


def write_certificate(ctx: StepContext, cases: pd.DataFrame, seconds: float, tolerance: float = 0.0) -> None:
    """Write the cases, their greatest `gap` (a share), and how many are open.

    Args:
        seconds: the slowest case took.
        tolerance: of the gap's metric, in percent.
    """
    cases.to_csv(ctx.dir / "cases.csv", index=False)
    gap, unproven = float(cases["gap"].max()), int((cases["gap"] > 0).sum())
    certificate = {"cases": len(cases), "open": unproven, "gap": gap}
    (ctx.dir / "certificate.json").write_text(json.dumps(certificate, indent=1), encoding="utf-8")
    ctx.metric("codesign.cases", len(cases), "count")
    ctx.metric("codesign.open_cases", unproven, "count", "lower")
    ctx.metric("codesign.gap", 100 * gap, "%", "lower", tolerance=tolerance)
    ctx.metric("codesign.seconds", seconds, "s", "lower", volatile=True)
