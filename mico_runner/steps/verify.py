"""verify: whole-network latency estimates against measured networks that were left out."""

from __future__ import annotations

from mico_runner.sections import Sections
from mico_runner.steps import register
from mico_runner.steps.base import Inputs, Step, StepContext

NOTED_SHARE = 0.01  # of the time; rarer operations are in operations.csv, but are not called best or worst


@register("verify", section="verify", order=35)
class Verify(Step):
    """Leave-one-network-out error of calibrated latency estimates on measured subgraphs."""

    VERSION = 3

    def inputs(self, spec: Sections) -> Inputs:
        from mico_runner.data import catalog
        from mico_runner.steps.inputs import present

        return {"verify": spec.verify, "data": catalog.fingerprint(present(spec.verify).data)}

    def run(self, ctx: StepContext) -> None:
        import json

        import pandas as pd

        from mico_runner.calibration import leave_one_out, profile
        from mico_runner.data import subgraphs
        from mico_runner.steps.inputs import present

        section = present(ctx.spec.verify)
        table = subgraphs.load_subgraphs(section.data)
        models, operations, judged = [], [], {}
        for choice in ctx.progress(section.devices, desc="verify"):
            rows = leave_one_out.select(table, choice.device, choice.precision, choice.batches)
            outcome = leave_one_out.leave_one_model_out(rows, section.batch)
            errors = leave_one_out.by_operation(outcome.subgraphs)
            name = f"{choice.device}_{choice.precision}"
            ctx.metric(f"verify.{name}.mape", outcome.mape, "ratio", "lower", "1%")
            ctx.metric(f"verify.{name}.max_ape", outcome.max_ape, "ratio", "lower", "1%")
            ctx.log(
                f"{name}: {100 * outcome.mape:.1f} % mean, {100 * outcome.max_ape:.1f} % max over {len(outcome.models)} networks"
            )
            noted = errors.loc[errors["share"] >= NOTED_SHARE].set_index("regime")["mape"]
            by_operation = {str(regime): mape for regime, mape in noted.to_dict().items()}
            judged[name] = profile.grades(outcome.models.rename(columns={"model": "network"}), by_operation)
            models.append(outcome.models.assign(device=choice.device, precision=choice.precision))
            operations.append(errors.assign(device=choice.device, precision=choice.precision))
        pd.concat(models).to_csv(ctx.dir / "networks.csv", index=False, float_format="%.6g")
        pd.concat(operations).to_csv(ctx.dir / "operations.csv", index=False, float_format="%.6g")
        (ctx.dir / "validation.json").write_text(json.dumps(judged, indent=1) + "\n", encoding="utf-8")
        for first, second in section.runs:
            noise = leave_one_out.noise_floor(table, first, second, "fp32", section.batch)
            noise.to_csv(ctx.dir / f"noise_{first}_{second}.csv", index=False, float_format="%.6g")
            ctx.metric(f"verify.noise_{first}.mape", noise["error"].abs().mean(), "ratio")
            ctx.metric(f"verify.noise_{first}.max_ape", noise["error"].abs().max(), "ratio")
