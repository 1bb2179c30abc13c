"""fit: the latency predictor, and its error on shapes that it has not seen."""

from __future__ import annotations

from typing import Any

from mico_runner.steps import register
from mico_runner.steps.base import Step, StepContext


@register("fit", section="proxy", optional_needs=["profile"], order=30)
class Fit(Step):
    """Fit the latency predictor to a kernel profile and validate it."""

    VERSION = 2

    def inputs(self, spec: dict[str, Any]) -> dict[str, Any]:
        from mico_runner.steps.inputs import profile_inputs

        return {"seed": spec["seed"], "proxy": spec["proxy"], "profile": profile_inputs(spec["datasets"]["profile"])}

    def run(self, ctx: StepContext) -> None:
        import json

        import pandas as pd

        from mico_runner import data, proxy

        section = ctx.spec["proxy"]
        if ctx.has("profile"):
            names = [str(path) for path in sorted(ctx.upstream("profile").glob("*.csv"))]
        else:
            names = ctx.spec["datasets"]["profile"]
        table = data.load_profile(names)
        unit = table.attrs["unit"]
        candidates = [section, *section["compare"]]
        protocols, predictions = [], []
        for candidate in ctx.progress(candidates, total=len(candidates), desc="validate"):
            rows, points = proxy.validate(
                table,
                strategy=candidate["strategy"],
                features=candidate["features"],
                regressor=candidate["regressor"],
                params=candidate["params"],
                protocols=section["validation"]["protocols"],
                group_by=section["validation"]["group_by"],
                folds=section["validation"]["folds"],
                seed=ctx.seed,
            )
            protocols.append(rows)
            predictions.append(points)
        everything = pd.concat(protocols, ignore_index=True)
        everything.to_csv(ctx.dir / "protocols.csv", index=False)
        predictions[0].to_csv(ctx.dir / "predictions.csv", index=False)
        model = proxy.fit(
            table,
            strategy=section["strategy"],
            features=section["features"],
            regressor=section["regressor"],
            params=section["params"],
            seed=ctx.seed,
            calibration=predictions[0] if "group_kfold" in section["validation"]["protocols"] else None,
        )
        model.save(ctx.dir / "model")
        about = {"unit": unit, "dataset": names, "strategy": section["strategy"], "rows": len(table)}
        (ctx.dir / "fit.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
        suffix = {"group_kfold": "", "in_sample": "_in_sample", "kfold": "_rowwise"}
        for row in protocols[0].itertuples():
            name = f"proxy.{row.kind}.mape{suffix.get(row.protocol, '_' + row.protocol)}"
            better = "info" if row.protocol == "in_sample" else "lower"
            ctx.metric(name, row.mape, "ratio", better, tolerance=0.005)
            if row.protocol == "group_kfold":
                ctx.metric(f"proxy.{row.kind}.spearman", row.spearman, "correlation", "higher", tolerance=0.01)
                ctx.metric(f"proxy.{row.kind}.kendall", row.kendall, "correlation", "higher", tolerance=0.02)
                ctx.metric(f"proxy.{row.kind}.coverage", row.coverage, "ratio", "info")  # of the 90 % intervals
