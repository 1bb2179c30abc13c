"""estimate: latency of whole networks on devices that are known by curves, nothing being measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mico_runner.sections import Sections
from mico_runner.steps import register
from mico_runner.steps.base import Inputs, Step, StepContext

if TYPE_CHECKING:
    import pandas as pd

    from mico_runner.calibration.device_curves import DeviceCurves


@register("estimate", section="estimate", order=6)
class Estimate(Step):
    """Predict networks on devices from their curves, with intervals and with what the curves stand on."""

    VERSION = 1

    def inputs(self, spec: Sections) -> Inputs:
        from pathlib import Path

        from mico_runner.calibration import device_curves
        from mico_runner.calibration.cases import OWN_NETWORK
        from mico_runner.data import catalog
        from mico_runner.steps.inputs import network_of_spec_inputs, present

        section = present(spec.estimate)
        files = [device_curves.path_of(each.curves) for each in section.devices]
        return {
            "precisions": [each.precision for each in section.devices],
            "curves": [catalog.sha256(file) for file in files],
            "networks": section.networks,
            "measured": catalog.sha256(Path(section.measured)) if section.measured else None,
            **(network_of_spec_inputs(spec) if OWN_NETWORK in section.networks else {}),
        }

    def run(self, ctx: StepContext) -> None:
        from pathlib import Path

        import pandas as pd

        from mico_runner.calibration import device_rates, measured_networks
        from mico_runner.calibration.capture import capture
        from mico_runner.calibration.whole_networks import trace
        from mico_runner.steps.calibration import chosen_curves, example_of
        from mico_runner.steps.inputs import present

        section = present(ctx.spec.estimate)
        operators = {name: capture(*example_of(ctx, name)) for name in section.networks}
        known = chosen_curves(section.devices)
        rows, traces = [], []
        for curves in known:
            ctx.log(curves.in_words())
            traces.append(f"{curves.in_words()}\n")
            for name, table in operators.items():
                row = _row(curves, name, table)
                rows.append(row)
                metric = f"estimate.{curves.device}_{curves.precision}.{name}.seconds"
                ctx.metric(metric, float(row["predicted_s"]), "s", "lower", "1%")
                traces += [f"{name}\n", *(f"  {line}\n" for line in trace(curves.model, table))]
        found = pd.DataFrame(rows)
        if section.measured:
            found = measured_networks.compared(found, Path(section.measured))
            for (device, precision), some in found.dropna(subset=["error"]).groupby(
                ["device", "precision"], sort=False
            ):
                at = f"estimate.{device}_{precision}"
                ctx.metric(f"{at}.mape", float(some["error"].abs().mean()), "ratio", "lower", "1%")
                ctx.metric(f"{at}.max_ape", float(some["error"].abs().max()), "ratio", "lower", "1%")
        found.to_csv(ctx.dir / "networks.csv", index=False, float_format="%.6g")
        device_rates.table(known).to_csv(ctx.dir / "rates.csv", index=False, float_format="%.6g")
        (ctx.dir / "trace.txt").write_text("".join(traces), encoding="utf-8")


def _row(curves: DeviceCurves, name: str, operators: pd.DataFrame) -> dict[str, str | float]:
    """One network on one device: its latency, its interval, and the shares of it that no measurement stands behind."""
    seconds, standing = curves.model.predict(operators), curves.model.standing(operators)
    whole = float(seconds.sum())
    low, high = curves.interval(operators)
    return {
        "device": curves.device,
        "precision": curves.precision,
        "network": name,
        "provenance": curves.provenance,
        "operators": len(operators),
        "predicted_s": whole,
        "low_s": low,
        "high_s": high,
        "extrapolated": float(seconds[standing == "EXTRAPOLATED"].sum() / whole),
        "assumed": float(seconds[standing == "ASSUMED"].sum() / whole),
    }
