"""calibrate: efficiency curves of the machine this runs on, from micro-benchmarks."""

from __future__ import annotations

from typing import Any

from mico_runner.steps import register
from mico_runner.steps.base import Step, StepContext


@register("calibrate", section="calibrate", order=5)
class Calibrate(Step):
    """Measure this machine's operators and fit efficiency curves; optionally predict whole networks and measure them."""

    VERSION = 2

    def inputs(self, spec: dict[str, Any]) -> dict[str, Any]:
        import platform
        from importlib import metadata

        try:
            torch = metadata.version("torch")
        except metadata.PackageNotFoundError:
            torch = None
        return {"seed": spec["seed"], "calibrate": spec["calibrate"], "machine": platform.node(), "torch": torch}

    def run(self, ctx: StepContext) -> None:
        import json
        import time

        import yaml

        from mico_runner.calibration import machine, timing
        from mico_runner.errors import StepSkipped

        try:
            import torch
        except ImportError:
            raise StepSkipped("calibrate needs torch: pip install torch") from None

        section = ctx.spec["calibrate"]
        started = time.perf_counter()
        restlessness = timing.restlessness()
        if restlessness > timing.QUIET_SPREAD:
            ctx.log(
                f"calibrate: this machine is not quiet: equal computations differ by {100 * restlessness:.0f} %; figures will be noisy"
            )
        points = machine.measure(section, ctx.work / "points.jsonl", ctx.progress, ctx.seed)
        ctx.metric("calibrate.seconds", time.perf_counter() - started, "s", volatile=True)
        ctx.metric("calibrate.restlessness", restlessness, "ratio", volatile=True)
        ctx.metric("calibrate.points", len(points), "count")
        profile = {"environment": machine.environment(section["threads"]), **machine.profile(points, restlessness)}
        for precision in section["precisions"]:
            model = machine.estimator(points, precision, ctx.seed)
            profile["peaks"][precision]["cv_error"] = model.errors
            worst = max(model.errors.values())
            ctx.metric(f"calibrate.{precision}.worst_cv_error", worst, "log", "lower", volatile=True)
            if precision == "fp32" and section["networks"]:
                outcome = machine.verify(model, points, section["networks"], section["threads"], ctx.progress)
                outcome.to_csv(ctx.dir / "networks.csv", index=False, float_format="%.6g")
                profile["validation"] = machine.grades(outcome)
                for name in ("mape", "max_ape", "datasheet_mape"):
                    ctx.metric(
                        f"calibrate.networks.{name}", profile["validation"][name], "ratio", "lower", volatile=True
                    )
        samples = {p["key"]: p["samples"] for p in points}
        (ctx.dir / "profile.yaml").write_text(yaml.safe_dump(profile, sort_keys=False), encoding="utf-8")
        (ctx.dir / "profile.json").write_text(
            json.dumps(profile | {"samples_s": samples}, indent=1) + "\n", encoding="utf-8"
        )
        ctx.log(f"calibrate: {len(points)} points with torch {torch.__version__}")
