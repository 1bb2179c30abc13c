"""profile: kernel latencies of the target, for the predictor to learn from."""

from __future__ import annotations

from typing import Any

from mico_runner.sections import Sections
from mico_runner.steps import register
from mico_runner.steps.base import Inputs, Step, StepContext


@register("profile", section="profile", order=10)
class Profile(Step):
    """Make a kernel-latency profile with the project's own simulator or on this machine."""

    VERSION = 4

    def inputs(self, spec: Sections) -> Inputs:
        from mico_runner import profiling
        from mico_runner.steps.inputs import device_of, present, scratch_of

        section, device = present(spec.profile), device_of(spec)
        return {
            "profile": section,
            "hardware": device.sha256,
            "conditions": profiling.conditions(section, device, scratch_of(spec)),
        }

    def run(self, ctx: StepContext) -> None:
        import json
        import time

        from mico_runner import profiling
        from mico_runner.frozen_data import plain
        from mico_runner.steps.inputs import device_of, present, scratch_of

        section, device = present(ctx.spec.profile), device_of(ctx.spec)
        started = time.perf_counter()
        profile = profiling.make(section, device, ctx.work, scratch_of(ctx.spec), ctx.map)
        ctx.metric("profile.seconds", time.perf_counter() - started, "s", volatile=True)
        profile.save(ctx.dir)
        about = {
            "unit": profile.unit,
            **plain(self.inputs(ctx.spec)),
            "hardware": {"name": device.name, "sha256": device.sha256},
        }
        for kind, measured in profile.measurements.items():
            about[kind] = {"rows": len(profile.tables[kind])}
            ctx.metric(f"profile.{kind}.rows", len(profile.tables[kind]), "count")
            if measured.spread is not None:
                about[kind] |= _spread(measured.spread)
                ctx.metric(f"profile.{kind}.spread", about[kind]["spread_percent"]["median"], "%", volatile=True)
        if any(measured.spread is not None for measured in profile.measurements.values()):
            about["measured"] = time.strftime("%Y-%m-%d", time.gmtime())
        (ctx.dir / "profile.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def _spread(spread: Any) -> dict[str, dict[str, float]]:
    """Median, ninth decile and maximum over the kernels of the range between the quartiles, in percent of the median."""
    import numpy as np

    values = np.percentile(100 * spread, [50, 90, 100]).round(2).tolist()
    return {"spread_percent": dict(zip(("median", "p90", "max"), values, strict=True))}
