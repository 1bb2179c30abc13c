"""evaluate: what the network costs, and post-training quantisation at uniform bit-widths, before any search."""

from __future__ import annotations

from typing import Any

from mico_runner.steps import register
from mico_runner.steps.base import Step, StepContext


@register("evaluate", section="evaluate", needs=["train"], optional_needs=["fit"], order=40)
class Evaluate(Step):
    """Count the network and quantise it at uniform bit-widths."""

    VERSION = 3

    def inputs(self, spec: dict[str, Any]) -> dict[str, Any]:
        from mico_runner.steps.inputs import network_inputs

        return {**network_inputs(spec), "evaluate": spec["evaluate"]}

    def run(self, ctx: StepContext) -> None:
        import pandas as pd

        from mico_runner import graph
        from mico_runner.graph import costs
        from mico_runner.steps.network import Latency, Scorer, load_task, quantiser, trained_graph, uniform

        task = load_task(ctx.spec)
        network = trained_graph(ctx, task)
        scorer = Scorer(quantiser(ctx, network, task), task.validation)
        latency = Latency(ctx, network) if ctx.has("fit") else None

        int8 = uniform(network, 8, 8)
        layers = graph.layer_table(network, int8)
        if latency:
            layers = layers.merge(latency.by_layer(int8), how="left", left_on="name", right_on="layer")
            latency.report_coverage(ctx, int8)
        layers.to_csv(ctx.dir / "layers.csv", index=False)

        rows = []
        bits = ctx.spec["evaluate"]["uniform_bits"]
        for weight, activation in ctx.progress(bits, total=len(bits), desc="uniform bits"):
            assignment = uniform(network, weight, activation)
            row = {"weight_bits": weight, "act_bits": activation}
            row["validation_accuracy"] = scorer(assignment)["accuracy"]
            if latency:
                row["latency"] = latency(assignment)
            row["flash_bytes"] = costs.model_bytes(network, assignment)
            row["bops"] = costs.bops(network, assignment)
            rows.append(row)
        pd.DataFrame(rows).to_csv(ctx.dir / "uniform.csv", index=False)

        ctx.metric("evaluate.macs", int(layers["macs"].sum()), "count")
        ctx.metric("evaluate.int8.validation_accuracy", scorer(int8)["accuracy"], "%", "higher", tolerance=0.3)
        ctx.metric("evaluate.int8.flash_bytes", costs.model_bytes(network, int8), "bytes", "lower")
        if latency:
            ctx.metric("evaluate.int8.latency", latency(int8), latency.unit, "lower", tolerance="1%")
