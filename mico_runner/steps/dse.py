"""dse: cycles of designs of high-level synthesis from few labels, each kernel left out in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mico_runner.sections import Dse as Section
from mico_runner.sections import Sections
from mico_runner.steps import register
from mico_runner.steps.base import Inputs, Step, StepContext

if TYPE_CHECKING:
    from mico_runner.data.hls_designs import Designs


@register("dse", section="dse", order=38)
class Dse(Step):
    """Leave-one-kernel-out error of predicted cycles, and the best design that is found with few labels."""

    VERSION = 2

    def inputs(self, spec: Sections) -> Inputs:
        from pathlib import Path

        from mico_runner.data import catalog
        from mico_runner.steps.inputs import own_files, present

        section = present(spec.dse)
        data = own_files(Path(section.file)) if section.file else catalog.fingerprint(section.table)
        return {"dse": section, "data": data, "seed": spec.seed}

    def run(self, ctx: StepContext) -> None:
        import numpy as np
        import pandas as pd

        from mico_runner.dse import validation
        from mico_runner.errors import StepError
        from mico_runner.steps.inputs import present

        section = present(ctx.spec.dse)
        designs = {name: each for name, each in _designs(section).items() if each.valid.sum() >= section.least}
        most = max(section.labels) + validation.TRIED
        if few := [name for name, each in designs.items() if each.valid.sum() <= most]:
            raise StepError(
                f"{few[0]} has {designs[few[0]].valid.sum()} valid designs; needed: more than {most}; raise dse.least"
            )
        if len(designs) < 2:
            raise StepError(f"{len(designs)} kernels have {section.least} valid designs; needed: 2; lower dse.least")
        kernels = dict(zip(designs, ctx.map(validation.prepare, designs.values()), strict=True))
        tasks = [(name, ctx.seed + repeat) for repeat in range(section.seeds) for name in kernels]
        leave_out = validation.LeaveOut(kernels, section.labels, section.predictors)
        found = ctx.progress(ctx.map(leave_out, tasks), total=len(tasks), desc="dse")
        table = pd.DataFrame([row for rows in found for row in rows])
        table.to_csv(ctx.dir / "kernels.csv", index=False, float_format="%.6g")
        ctx.metric("dse.kernels", len(kernels), "count")
        summary = []
        for (name, labels), rows in table.groupby(["predictor", "labels"]):
            mean = {key: float(rows[key].mean()) for key in ("rmse", "spearman", "exact")}
            best = float(np.exp(np.log(rows["best"]).mean()))
            at = f"dse.{name}_{labels}"
            ctx.metric(f"{at}.rmse", mean["rmse"], "log2 cycles", "lower", 0.02)
            ctx.metric(f"{at}.spearman", mean["spearman"], "ratio", "higher", 0.01)
            ctx.metric(f"{at}.best", best, "ratio", "lower", 0.01)
            ctx.metric(f"{at}.exact", mean["exact"], "ratio", "higher", 0.02)
            summary.append({"predictor": name, "labels": labels, **mean, "best": best})
            ctx.log(
                f"{name}, {labels} labels: RMSE {mean['rmse']:.3f}, Spearman {mean['spearman']:.3f}, best {best:.3f}"
            )
        pd.DataFrame(summary).to_csv(ctx.dir / "summary.csv", index=False, float_format="%.6g")
        judged = ctx.map(validation.Validity(kernels, max(section.labels)), tasks)
        areas = [area for area in judged if area is not None]
        if areas:
            ctx.metric("dse.validity_auc", float(np.mean(areas)), "ratio", "higher", 0.01)


def _designs(section: Section) -> dict[str, Designs]:
    from pathlib import Path

    from mico_runner.data.hls_designs import load_designs, read_designs

    return read_designs(Path(section.file)) if section.file else load_designs(section.table)
