"""evaluate: what the network costs, and post-training quantisation at uniform bit-widths, before any search."""

from __future__ import annotations

from mico_runner.sections import Sections
from mico_runner.steps import register
from mico_runner.steps.base import Inputs, Step, StepContext


@register("evaluate", section="evaluate", needs=["train"], optional_needs=["fit"], order=40)
class Evaluate(Step):
    """Count the network and quantise it at uniform bit-widths."""

    VERSION = 5

    def inputs(self, spec: Sections) -> Inputs:
        from mico_runner.steps.inputs import deployment_of, network_inputs

        return {**network_inputs(spec), "evaluate": spec.evaluate, "program": deployment_of(spec)}

    def run(self, ctx: StepContext) -> None:
        import pandas as pd

        from mico_runner import graph
        from mico_runner.graph import costs
        from mico_runner.steps.inputs import deployment_of, present
        from mico_runner.steps.network import Scorer, load_data, quantiser, trained_graph, uniform
        from mico_runner.steps.network_latency import Latency

        samples = load_data(ctx.spec)
        measure = samples.task.MEASURE
        network = trained_graph(ctx, samples)
        ptq = quantiser(ctx.spec, network, samples)
        scorer = Scorer(ptq, samples.task, samples.validation)
        deployment = deployment_of(ctx.spec)
        latency = Latency(ctx, network) if ctx.has("fit") else None

        int8 = uniform(network, 8, 8)
        layers = graph.layer_table(network, int8)
        if latency:
            layers = layers.merge(latency.by_layer(int8), how="left", left_on="name", right_on="layer")
            latency.report_coverage(ctx, deployment.lower(ptq.quantize(int8)), int8)
        layers.to_csv(ctx.dir / "layers.csv", index=False)

        rows = []
        bits = present(present(ctx.spec.evaluate).uniform_bits)
        for weight, activation in ctx.progress(bits, total=len(bits), desc="uniform bits"):
            assignment = uniform(network, weight, activation)
            row = {"weight_bits": weight, "act_bits": activation}
            row[f"validation_{measure.name}"] = scorer(assignment)[0]
            if latency:
                row["latency"] = latency(assignment)
            row["flash_bytes"] = deployment.needs(ptq.quantize(assignment)).flash
            row["bops"] = costs.bops(network, assignment)
            rows.append(row)
        pd.DataFrame(rows).to_csv(ctx.dir / "uniform.csv", index=False)

        ctx.metric("evaluate.macs", int(layers["macs"].sum()), "count")
        name, count, quality = f"evaluate.int8.validation_{measure.name}", len(samples.validation), scorer(int8)[0]
        ctx.metric(name, quality, measure.unit, measure.direction, measure.allowed(count))
        drop = measure.drop(ctx.upstream_metric(f"train.validation_{measure.name}"), quality)
        ctx.metric(f"evaluate.int8.{measure.name}_drop", drop, measure.points, "lower", measure.allowed(count, 2))
        needs = deployment.needs(ptq.quantize(int8))
        ctx.metric("evaluate.int8.flash_bytes", needs.flash, "bytes", "lower")
        ctx.metric("evaluate.int8.ram_bytes", needs.ram, "bytes", "lower")
        if latency:
            ctx.metric("evaluate.int8.latency", latency(int8), latency.unit, "lower", tolerance="1%")
