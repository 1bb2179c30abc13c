"""calibrate: efficiency curves of the machine this runs on, from micro-benchmarks."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mico_runner.sections import Calibrate as Section
from mico_runner.sections import Sections
from mico_runner.steps import register
from mico_runner.steps.base import Inputs, Step, StepContext

if TYPE_CHECKING:
    import pandas as pd

    from mico_runner.calibration.estimator import Estimator
    from mico_runner.calibration.given import Given
    from mico_runner.calibration.profile import Judgement, Profile
    from mico_runner.calibration.roofline import Roofline


NOTED_SHARE = 0.02  # of the time in the networks, from which a class of operators is worth a warning
REPEATS_MAPE, REPEATS_MAX = 0.03, 0.10  # by how much the errors of repeated calibrations of one machine differ


@register("calibrate", section="calibrate", order=5)
class Calibrate(Step):
    """Measure this machine's operators and fit efficiency curves; optionally predict whole networks and measure them."""

    VERSION = 5

    def inputs(self, spec: Sections) -> Inputs:
        from importlib import metadata

        from mico_runner import machine
        from mico_runner.calibration.cases import OWN_NETWORK
        from mico_runner.data import catalog
        from mico_runner.steps.inputs import network_of_spec_inputs, present

        try:
            torch = metadata.version("torch")
        except metadata.PackageNotFoundError:
            torch = None
        own = network_of_spec_inputs(spec) if OWN_NETWORK in present(spec.calibrate).networks else {}
        files = (present(spec.calibrate).compare, spec.efficiency_curves)
        return {
            "calibrate": spec.calibrate,
            "efficiency_curves": spec.efficiency_curves,
            "files": [catalog.sha256(Path(f)) for f in files if isinstance(f, str) and f != "auto"],
            "machine": machine.describe(),
            "torch": torch,
            **own,
        }

    def run(self, ctx: StepContext) -> None:
        import time

        from mico_runner.calibration import estimator, given, machine, processor, profile, timing
        from mico_runner.errors import StepSkipped
        from mico_runner.steps.inputs import present

        try:
            import torch
        except ImportError:
            raise StepSkipped("calibrate needs torch: pip install torch") from None

        section = present(ctx.spec.calibrate)
        before = profile.read(Path(section.compare)) if section.compare else None
        wanted = ctx.spec.efficiency_curves
        file = wanted if isinstance(wanted, str) and wanted != "auto" else None
        # A file that does not do is said before the measurement, not after it.
        curves = given.read(Path(file), bool(section.networks)) if file else None
        section = replace(section, precisions=_supported(ctx, section.precisions))
        started = time.perf_counter()
        restlessness = timing.restlessness()
        if restlessness > timing.QUIET_SPREAD:
            ctx.log(
                f"calibrate: this machine is not quiet: equal computations differ by {100 * restlessness:.0f} %; figures will be noisy"
            )
        points = machine.measure(section, ctx.work / "points.jsonl", ctx.progress, ctx.log)
        ctx.metric("calibrate.seconds", time.perf_counter() - started, "s", volatile=True)
        ctx.metric("calibrate.restlessness", restlessness, "ratio", volatile=True)
        wanted_points = len(machine.planned(section))
        ctx.metric("calibrate.points", len(points), "count", volatile=True)
        ctx.metric("calibrate.coverage", len(points) / wanted_points, "ratio", "higher", volatile=True)
        if len(points) < wanted_points:
            ctx.log(
                f"calibrate: budget {section.budget} had time for {len(points)} of {wanted_points} sizes; fewer precisions or batches"
                " leave more for each"
            )
        models = {precision: estimator.estimator(points, precision, section.seed) for precision in section.precisions}
        fit = None if wanted is None or isinstance(wanted, str) else wanted.fit
        smooth = fit.smooth if fit else None
        made = profile.of_points(points, restlessness, *((fit.shapes, fit.folds) if fit else ()))
        result = cast("Profile", {"environment": processor.environment(section.threads), **made})
        for precision, model in models.items():
            result["peaks"][precision]["cv_error"] = model.errors
            worst = max(model.errors.values())
            ctx.metric(f"calibrate.{precision}.worst_cv_error", worst, "log", "lower", volatile=True)
        if file and curves:
            result["given"] = _described(curves, file, result)
        if section.networks:
            _networks(ctx, section, models["fp32"], result, _rooflines(curves, result, smooth))
        if before is not None:
            _compare(ctx, before, result)
        if result["environment"]["gpu"]:
            ctx.log(f"calibrate: {result['environment']['gpu']} is not measured: the micro-benchmarks are of the CPU")
        samples = {p["key"]: p["samples"] for p in points}
        for folder in (ctx.dir, *([Path(section.write_to)] if section.write_to else [])):
            profile.write(result, folder, samples)
            _write_curves(folder, models, result)
        ctx.log(f"calibrate: {len(points)} points with torch {torch.__version__}")


def _supported(ctx: StepContext, precisions: tuple[str, ...]) -> tuple[str, ...]:
    """Those that the processor has instructions for; the others are said."""
    from mico_runner.calibration import processor
    from mico_runner.errors import StepSkipped

    kept = tuple(p for p in precisions if processor.has(p))
    for precision in precisions:
        if precision not in kept:
            ctx.log(f"calibrate: {precision} is not measured: this processor has no instructions for it")
    if not kept:
        raise StepSkipped(
            f"calibrate: this processor has no instructions for {', '.join(precisions)}; add fp32 to precisions"
        )
    return kept


def _described(given: Given, file: str, result: Profile) -> dict[str, object]:
    """The file's curves as the profile keeps them; the operations that they are compared with get their names."""
    from mico_runner.calibration.roofline import curve_name
    from mico_runner.errors import UnknownName

    found = given.curves
    for name, entry in result["operations"].items():
        op, _, precision = name.partition("/")
        with suppress(UnknownName):
            if precision == "fp32" and entry["of"] == "flops":
                entry["given_name"] = curve_name(op, found)
    return {"file": Path(file).name, "curves": {name: curve.to_json() for name, curve in found.items()}}


def _rooflines(given: Given | None, result: Profile, smooth: float | None) -> dict[str, Roofline]:
    """Estimators that stand beside the calibrated one: through this calibration's curves, without curves, through a file's."""
    from mico_runner.calibration import cases, profile
    from mico_runner.calibration.roofline import Roofline

    own = profile.roofline(result, "fp32", smooth)
    rates = own.precision, own.flops_per_s, own.bytes_per_s
    found = {"roofline": own} if set(cases.COMPUTING) <= set(own.compute or {}) else {}  # else too little was measured
    found["datasheet"] = Roofline(*rates, None, {}, {})
    if given and given.profile:
        found["given"] = profile.roofline(given.profile, "fp32", smooth)
    elif given:
        found["given"] = Roofline(*rates, given.curves, {}, {}, smooth)
    return found


def _networks(
    ctx: StepContext, section: Section, model: Estimator, result: Profile, rooflines: dict[str, Roofline]
) -> None:
    """Whole networks predicted, measured and judged; the judgement becomes part of the profile."""
    from mico_runner.calibration import profile, whole_networks
    from mico_runner.steps.calibration import example_of

    examples = {name: example_of(ctx, name) for name in section.networks}
    found = whole_networks.verify(model, examples, section.threads, rooflines, ctx.progress)
    outcome, classes = found.networks, whole_networks.by_class(found.operators)
    outcome.to_csv(ctx.dir / "networks.csv", index=False, float_format="%.6g")
    found.operators.to_csv(ctx.dir / "operators.csv", index=False, float_format="%.6g")
    classes.to_csv(ctx.dir / "classes.csv", index=False, float_format="%.6g")
    text = "".join(f"{name}\n" + "".join(f"  {line}\n" for line in lines) for name, lines in found.traces.items())
    (ctx.dir / "trace.txt").write_text(text, encoding="utf-8")
    result["validation"] = judged = profile.grades(outcome, model.errors)
    for which in rooflines:
        error = float((outcome[f"{which}_s"] / outcome["measured_s"] - 1).abs().mean())
        judged |= {f"{which}_mape": error}  # type: ignore[misc]  # the names of `_rooflines`
        ctx.metric(f"calibrate.networks.{which}_mape", error, "ratio", "lower", volatile=True)
    # Measured, but these two are what a calibration is for: one that is worse by more than its repeats differ is a regression.
    ctx.metric("calibrate.networks.mape", judged["mape"], "ratio", "lower", REPEATS_MAPE)
    ctx.metric("calibrate.networks.max_ape", judged["max_ape"], "ratio", "lower", REPEATS_MAX)
    share = 100 * float(classes["off_s"].iloc[0]) / float(classes["off_s"].sum())
    ctx.log(
        f"calibrate: {classes['op'].iloc[0]} is predicted worst: {share:.0f} % of all error x time inside the networks"
    )
    if "roofline" in rooflines:
        _warn_of_roofline(ctx, judged, classes)


def _warn_of_roofline(ctx: StepContext, judged: Judgement, classes: pd.DataFrame) -> None:
    """Where the simpler estimator, through the same measurements, is the better one."""
    if judged["roofline_mape"] < judged["mape"]:
        better = f"{100 * judged['roofline_mape']:.1f} % off on average, the estimate {100 * judged['mape']:.1f} %"
        ctx.log(
            f"calibrate: WARNING: the roofline through this calibration's curves is better on these networks: {better}"
        )
    row: Any
    for row in classes[(classes["roofline_off_s"] < classes["off_s"]) & (classes["share"] >= NOTED_SHARE)].itertuples():
        ctx.log(
            f"calibrate: WARNING: the roofline is better at {row.op}, {100 * row.share:.0f} % of the time:"
            f" off by {100 * row.roofline_off_s / row.measured_s:.0f} % of it, the estimate by {100 * row.off_s / row.measured_s:.0f} %"
        )


def _write_curves(folder: Path, models: dict[str, Estimator], result: Profile) -> None:
    """curves.yaml: what `estimate` takes for a device."""
    import re

    import numpy as np

    from mico_runner.calibration import device_curves

    about = result["environment"]
    name = re.sub(r"[^a-z0-9]+", "-", about["processor"].lower()).strip("-") or "this-machine"
    source = f"mico-run calibrate on {result['measured']}, torch {about['torch']}, threads: {about['threads']}"
    precisions: dict[str, dict[str, object]] = {}
    for precision, model in models.items():
        judged = result.get("validation") if precision == "fp32" else None
        said = None
        if judged and len(judged["log_errors"]) > 1:
            said = device_curves.validation("none of them took part", np.array(judged["log_errors"]))
        precisions[precision] = {
            "provenance": "measured",
            "source": source,
            "validation": said,
            "terms": model.to_json(),
        }
    text = device_curves.document(name, about["processor"], precisions)
    (folder / "curves.yaml").write_text(text, encoding="utf-8")


def _compare(ctx: StepContext, before: Profile, result: Profile) -> None:
    """What changed since a previous profile, in a table, in metrics and in the profile itself."""
    from mico_runner.calibration import profile

    changes = profile.compare(before, result)
    changes.to_csv(ctx.dir / "comparison.csv", index=False, float_format="%.6g")
    was = before["environment"]
    if was != result["environment"]:
        other = [f"{k} {was.get(k)} -> {v}" for k, v in result["environment"].items() if was.get(k) != v]
        ctx.log(f"calibrate: the previous profile is of another environment: {', '.join(other)}")
    if changes.empty:
        ctx.log("calibrate: the previous profile has no operation at the same sizes: nothing to compare")
        return
    slower = changes[changes["ratio"] > 1 + profile.CHANGED]
    result["previous"] = {
        "measured": before.get("measured"),
        "median_ratio": float(changes["ratio"].median()),
        "slower": {str(k): float(v) for k, v in zip(slower["operation"], slower["ratio"], strict=True)},
        "validation": before.get("validation"),
    }
    ctx.metric("calibrate.compare.median_ratio", result["previous"]["median_ratio"], "ratio", "lower", volatile=True)
    ctx.metric("calibrate.compare.slower_operations", len(slower), "count", "lower", volatile=True)
    if "validation" in before and "validation" in result:
        change = result["validation"]["mape"] - before["validation"]["mape"]
        ctx.metric("calibrate.compare.mape_change", change, "ratio", "lower", REPEATS_MAPE)
    row: Any
    for row in slower.itertuples():
        ctx.log(f"calibrate: {row.operation} takes {row.ratio:.2f} times what it took, over {row.points} sizes")
