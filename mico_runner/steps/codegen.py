"""codegen: the chosen network as C, with the integers that the search evaluated, as a model of ONNX, or in files of other tools."""

from __future__ import annotations

from mico_runner.sections import Sections
from mico_runner.steps import register
from mico_runner.steps.base import Inputs, Step, StepContext


def target_core(spec: Sections, runtime: str) -> str | None:
    """The core that a program for this runtime will run on; None on the host."""
    from mico_runner import hardware

    return None if runtime == "host" or not spec.hardware else hardware.load(spec.hardware).core


@register(
    "codegen", section="codegen", needs=["train"], optional_needs=["search", "finetune", "exits", "filter"], order=60
)
class Codegen(Step):
    """Generate C, a model of ONNX, DNNWeaver's files for the chosen bit-widths, or llama2.c's."""

    VERSION = 11

    def inputs(self, spec: Sections) -> Inputs:
        from mico_runner.steps.inputs import deployment_of, present

        own = {"codegen": spec.codegen, "quantization": spec.quantization, "name": spec.name}
        return own | {"core": target_core(spec, present(spec.codegen).runtime), "program": deployment_of(spec)}

    def run(self, ctx: StepContext) -> None:
        import json
        from dataclasses import asdict, replace

        import pandas as pd

        from mico_runner import codegen
        from mico_runner.codegen.layout import Layout
        from mico_runner.codegen.program import KernelRow
        from mico_runner.quant import storage
        from mico_runner.steps import points
        from mico_runner.steps.dnnweaver_files import write_files
        from mico_runner.steps.inputs import deployment_of, device_targets, present
        from mico_runner.steps.llama_bin import write_llama
        from mico_runner.steps.network import (
            assignment_of,
            load_data,
            memory_direction,
            memory_limits,
            quantiser,
            report_limits,
            trained_graph,
        )
        from mico_runner.steps.onnx_model import write_model

        samples = load_data(ctx.spec)
        network = trained_graph(ctx, samples)
        assignment = assignment_of(ctx, network)
        bits = {layer: list(pair) for layer, pair in assignment.items()}
        (ctx.dir / "bits.json").write_text(json.dumps(bits, indent=1), encoding="utf-8")
        made = [step for step in ("finetune", "exits", "filter") if ctx.has(step)]
        if not made and ctx.spec.search and ctx.spec.search.rounding:
            made = ["search"]
        if made:
            deployed = replace(storage.load(ctx.upstream(made[0]) / "qgraph"), name=network.name)
        else:
            deployed = quantiser(ctx.spec, network, samples).quantize(assignment)
        storage.save(deployed, ctx.dir / "qgraph")
        section = present(ctx.spec.codegen)
        if not ctx.has("search"):
            weight_bits, activation_bits = present(section.bits)
            which = "all but the first and the last layer" if section.ends else "every layer"
            ctx.log(f"{which}: {weight_bits} bits for weights, {activation_bits} for activations")
        if section.target == "onnx":
            write_model(ctx, deployed, samples.test.floats())
            return
        if section.target == "llama-bin":
            write_llama(ctx, samples)
            return
        if section.target == "dnnweaver":
            write_files(ctx, network, deployed, samples)
            return
        core = target_core(ctx.spec, section.runtime)
        layout = Layout(section.bundle, section.package)
        how = (section.runtime, core, section.scratch, layout, section.schedule, section.max_macs)
        result = codegen.generate(deployed, ctx.dir / "c", *how)
        columns = ["tensor", "offset", "bytes", "first_node", "last_node"]
        pd.DataFrame(result.memory, columns=columns).to_csv(ctx.dir / "memory.csv", index=False)
        kernels = pd.DataFrame(result.kernels, columns=KernelRow._fields)
        kernels.to_csv(ctx.dir / "kernels.csv", index=False)
        sections = pd.DataFrame(result.sections.items(), columns=["section", "bytes"])
        sections.to_csv(ctx.dir / "sections.csv", index=False)
        if gap := result.arena_bytes - result.arena_lower_bound:
            ctx.log(f"the arena is {gap} bytes larger than what lives at one time; a smaller one may exist")
        if section.schedule != "layers":
            ctx.metric("codegen.arena_gap_bytes", gap, "bytes", "lower")
            stages = [", ".join(stage) for stage in result.stages]
            ctx.log(
                f"{len(stages)} stages run row by row: {'; '.join(stages) or 'layer by layer takes no more memory'}"
            )
        deployment = deployment_of(ctx.spec)
        needs = deployment.needs(deployed)
        for name, size in (asdict(needs) | {"ram": needs.ram}).items():
            if name != "stack" or deployment.board:  # without a board it is not known
                memory = "flash_bytes" if name in ("flash", "tables") else "ram_bytes"
                ctx.metric(f"codegen.{name}_bytes", size, "bytes", memory_direction(ctx.spec, memory))
        if section.points > 1:
            searched = present(ctx.spec.search).rounding
            ptq = quantiser(ctx.spec, network, samples, searched)
            points.write(ctx, ptq, samples.task.MEASURE, deployment, lambda q, to: codegen.generate(q, to, *how))
        if not device_targets(ctx.spec):
            what = (
                "flash and stack are estimates"
                if deployment.board
                else "flash counts the constant tables alone, RAM no stack"
            )
            ctx.log(f"no program is linked, as simulate.target names neither qemu nor rtl: {what}")
            report_limits(ctx, "codegen", {"flash_bytes": needs.flash, "ram_bytes": needs.ram}, memory_limits(ctx))
