"""verify: whole-network latency estimates against measured networks that were left out."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mico_runner.sections import Sections
from mico_runner.sections import Verify as Section
from mico_runner.steps import register
from mico_runner.steps.base import Inputs, Step, StepContext

if TYPE_CHECKING:
    import pandas as pd

NOTED_SHARE = 0.01  # of the time; rarer operations are in operations.csv, but are not called best or worst


@register("verify", section="verify", order=35)
class Verify(Step):
    """Leave-one-network-out error of calibrated latency estimates on measured subgraphs."""

    VERSION = 5

    def inputs(self, spec: Sections) -> Inputs:
        from mico_runner.data import catalog
        from mico_runner.data.subgraphs import ENDINGS
        from mico_runner.steps.inputs import own_files, present

        data = present(spec.verify).data
        known = own_files(Path(data)) if data.endswith(ENDINGS) else catalog.fingerprint(data)
        return {"verify": spec.verify, "data": known}

    def run(self, ctx: StepContext) -> None:
        import json

        import pandas as pd

        from mico_runner.calibration import device_curves, judgement, leave_one_out, profile
        from mico_runner.data import subgraphs
        from mico_runner.steps.inputs import present

        section = present(ctx.spec.verify)
        table = subgraphs.load_subgraphs(section.data)
        models, operations, judged = [], [], {}
        terms: dict[str, dict[str, Any]] = defaultdict(dict)
        for choice in ctx.progress(section.devices, desc="verify"):
            rows = leave_one_out.select(table, choice.device, choice.precision, choice.batches)
            outcome = leave_one_out.leave_one_model_out(rows, section.batch)
            terms[choice.device][choice.precision] = _fitted(rows, section, choice.device)
            errors = leave_one_out.by_operation(outcome.subgraphs)
            name = f"{choice.device}_{choice.precision}"
            ctx.metric(f"verify.{name}.mape", outcome.mape, "ratio", "lower", "1%")
            ctx.metric(f"verify.{name}.max_ape", outcome.max_ape, "ratio", "lower", "1%")
            networks = judgement.with_intervals(outcome.models)
            simple = float(judgement.simple_errors(rows, section.batch).abs().mean())
            ctx.metric(f"verify.{name}.simple_mape", simple, "ratio")
            ctx.metric(f"verify.{name}.gain", simple / outcome.mape, "ratio", "higher", "1%")
            ctx.metric(f"verify.{name}.inside_90", float(networks["inside"].mean()), "ratio")
            ctx.metric(f"verify.{name}.error_correlation", judgement.correlation(outcome.subgraphs), "ratio")
            ctx.log(
                f"{name}: {100 * outcome.mape:.1f} % mean, {100 * outcome.max_ape:.1f} % max over {len(outcome.models)} networks"
            )
            noted = errors.loc[errors["share"] >= NOTED_SHARE].set_index("regime")["mape"]
            by_operation = {str(regime): mape for regime, mape in noted.to_dict().items()}
            judged[name] = profile.grades(outcome.models.rename(columns={"model": "network"}), by_operation)
            models.append(networks.assign(device=choice.device, precision=choice.precision))
            operations.append(errors.assign(device=choice.device, precision=choice.precision))
        pd.concat(models).to_csv(ctx.dir / "networks.csv", index=False, float_format="%.6g")
        pd.concat(operations).to_csv(ctx.dir / "operations.csv", index=False, float_format="%.6g")
        (ctx.dir / "validation.json").write_text(json.dumps(judged, indent=1) + "\n", encoding="utf-8")
        for folder in (ctx.dir / "curves", *([Path(section.write_to)] if section.write_to else [])):
            folder.mkdir(parents=True, exist_ok=True)
            for device, precisions in terms.items():
                text = device_curves.document(device, f"fitted to measured networks of {device}", precisions)
                (folder / f"{device}.yaml").write_text(text, encoding="utf-8")
        for first, second in section.runs:
            for precision in dict.fromkeys(each.precision for each in section.devices if each.device == first):
                noise = leave_one_out.noise_floor(table, first, second, precision, section.batch)
                noise.to_csv(ctx.dir / f"noise_{first}_{second}_{precision}.csv", index=False, float_format="%.6g")
                ctx.metric(f"verify.noise_{first}_{precision}.mape", noise["error"].abs().mean(), "ratio")
                ctx.metric(f"verify.noise_{first}_{precision}.max_ape", noise["error"].abs().max(), "ratio")


def _fitted(rows: pd.DataFrame, section: Section, device: str) -> dict[str, Any]:
    """The device's curves at one precision, as a file of `hardware/curves` has them."""
    from mico_runner.calibration import device_curves, leave_one_out
    from mico_runner.data import catalog
    from mico_runner.data.subgraphs import ENDINGS

    model, log_errors = leave_one_out.fitted(rows, section.batch)
    own = section.data.endswith(ENDINGS)
    origin = (
        Path(section.data).name
        if own
        else f"{catalog.entry(section.data).source}, {catalog.entry(section.data).licence}"
    )
    source = f"physical terms fitted to {len(log_errors)} networks on {device} at batch {section.batch}: {origin}"
    judged = device_curves.validation("each network left out", log_errors)
    return {"provenance": "fitted", "source": source, "validation": judged, "terms": model.to_json()}
