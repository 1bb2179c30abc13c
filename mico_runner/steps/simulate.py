"""simulate: the C program on every test image, and the network's latency on the target, beside what was predicted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mico_runner import accelerators
from mico_runner.sections import Sections
from mico_runner.steps import register
from mico_runner.steps.base import Inputs, Step, StepContext

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from mico_runner.data.dataset import DataSet, Split
    from mico_runner.graph.ir import Graph
    from mico_runner.hardware import Hardware
    from mico_runner.quant.qgraph import Assignment, QGraph
    from mico_runner.tasks.base import Task


@register(
    "simulate", section="simulate", needs=["train", "codegen"], optional_needs=["search", "fit", "exits"], order=70
)
class Simulate(Step):
    """Run the generated C on the test images and measure or simulate its latency."""

    VERSION = 16

    def inputs(self, spec: Sections) -> Inputs:
        from mico_runner import machine
        from mico_runner.steps.inputs import data_inputs, network_inputs, targets_of
        from mico_runner.steps.story import story_inputs

        found = {**network_inputs(spec), "simulate": spec.simulate, "data": data_inputs(spec), **story_inputs(spec)}
        if "host" in targets_of(spec):  # whose latencies are measured here
            found["machine"] = machine.describe()
        return found

    def run(self, ctx: StepContext) -> None:
        import json

        import numpy as np

        from mico_runner import hardware
        from mico_runner.quant import storage
        from mico_runner.steps import exits_rtl, own_target, qemu
        from mico_runner.steps.inputs import own_targets, present, targets_of
        from mico_runner.steps.network import assignment_of, dequantised, load_data, trained_graph
        from mico_runner.steps.rtl import RtlBench
        from mico_runner.steps.story import tell_story
        from mico_runner.targets import host

        section, targets = present(ctx.spec.simulate), targets_of(ctx.spec)
        data = load_data(ctx.spec)
        images = _first(data.test, section.images)
        deployed = storage.load(ctx.upstream("codegen") / "qgraph")
        network = trained_graph(ctx, data)
        assignment = assignment_of(ctx, network)
        about: dict[str, object] = {"targets": targets, "images": len(images)}
        measured: dict[str, pd.DataFrame] = {}

        if "host" in targets:
            logits, expected, layer_ns = _run_c(ctx, deployed, images, section.sanitize)
            wrong = int(np.any(logits != expected, axis=1).sum())
            ctx.metric("simulate.logits_mismatches", wrong, "images", "lower")
            quality = _report_quality(ctx, data.task, dequantised(deployed, logits), images)
            np.savez(ctx.dir / "logits.npz", c=logits.astype(np.int32))
            measured["host"] = layer_ns
            about["compiler"] = host.compiler_version()
            ctx.log(f"C program: {len(images)} images, {wrong} with other logits than the reference, {quality}")
        if section.executor:
            _report_executor(ctx, data, deployed)
        if section.story:
            tell_story(ctx, deployed, section.story)

        for target in [name for name in targets if name in hardware.simulated_kinds()]:
            measured[target] = _accelerator(ctx, network, assignment, target)
        if "rtl" in targets and deployed.exits:
            exits_rtl.check(ctx, deployed, data.test, section.rtl_images)
        elif "rtl" in targets:
            bench = RtlBench(ctx, network, data, _first(data.test, section.rtl_images))
            measured["rtl"] = bench.network(deployed, assignment)
            if section.rtl_assignments and ctx.has("fit"):
                bench.predictions(section.rtl_assignments)
        if "qemu" in targets:
            measured["qemu"] = qemu.check(ctx, deployed, _first(images, section.qemu_images))
        self._further(ctx, data.task, images)
        for target in own_targets(ctx.spec):
            measured[target] = own_target.check(ctx, deployed, images, target)
        if ctx.has("fit") and not deployed.exits:
            self._compare(ctx, network, assignment, measured)
        (ctx.dir / "simulate.json").write_text(json.dumps(about, indent=1), encoding="utf-8")

    def _further(self, ctx: StepContext, task: Task, images: Split) -> None:
        """The programs of further points of the front, as the choice's: the same images, the same check."""
        import numpy as np

        from mico_runner import quant
        from mico_runner.steps import points, qemu
        from mico_runner.steps.inputs import present, targets_of
        from mico_runner.steps.network import dequantised
        from mico_runner.steps.rtl import program_for

        section, targets, measure = present(ctx.spec.simulate), targets_of(ctx.spec), task.MEASURE
        for number, deployed, folder in points.further(ctx):
            name = f"simulate.point{number}"
            if "host" in targets:
                sources = program_for(ctx, deployed, "host", folder)
                integers = quant.quantize_input(deployed, images.floats())
                logits, expected = _in_c(ctx, deployed, sources, ctx.work / folder, integers, section.sanitize)
                wrong = int(np.any(logits != expected, axis=1).sum())
                ctx.metric(f"{name}.logits_mismatches", wrong, "images", "lower")
                quality = task.quality(dequantised(deployed, logits), images)
                ctx.metric(
                    f"{name}.{measure.name}", quality, measure.unit, measure.direction, measure.allowed(len(images))
                )
                ctx.log(f"point {number}: {len(images)} images, {wrong} with other logits, {measure.text(quality)}")
            if "qemu" in targets:
                ran = qemu.compared(ctx, deployed, _first(images, section.qemu_images), folder)
                ctx.metric(
                    f"{name}.qemu_instructions",
                    float(ran.by_layer["measured"].sum()),
                    "instructions",
                    "lower",
                    tolerance=qemu.TOLERANCE,
                )

    def _compare(
        self, ctx: StepContext, network: Graph, assignment: Assignment, measured: dict[str, pd.DataFrame]
    ) -> None:
        """Predicted against measured, per layer, where the target is the hardware that the predictor speaks of."""
        from mico_runner.steps.inputs import device_of
        from mico_runner.steps.network_latency import Latency
        from mico_runner.targets import TARGETS

        device = device_of(ctx.spec)
        target = _place_of(ctx.spec, device, measured)
        latency = Latency(ctx, network)
        predicted = latency.by_layer(assignment).rename(columns={"latency": "predicted"})
        predicted["unit"] = latency.unit
        if target is None or target not in measured:
            ctx.log(f"no target measures the latency of {device.name}: predicted only")
            predicted.to_csv(ctx.dir / "layers.csv", index=False)
            return
        layers: pd.DataFrame = predicted.merge(measured[target], on="layer", how="left")
        layers.to_csv(ctx.dir / "layers.csv", index=False)
        total, truth = layers["predicted"].sum(), layers["measured"].sum()
        volatile = target in TARGETS and not TARGETS.get(target).deterministic
        ctx.metric("simulate.latency_predicted", total, latency.unit, "lower", tolerance="1%")
        ctx.metric("simulate.latency", truth, latency.unit, "lower", tolerance="1%", volatile=volatile)
        error = abs(total - truth) / truth
        ctx.metric("simulate.latency_error", error, "ratio", "lower", tolerance=0.01, volatile=volatile)


def _place_of(spec: Sections, device: Hardware, measured: Iterable[str]) -> str | None:
    """Which of the targets the predictor speaks of: the device itself, or where this spec has profiled it."""
    from mico_runner.targets import boards, linked, unit

    if device.name == "host" or device.simulated:
        return "host" if device.name == "host" else device.kind
    if spec.profile and spec.profile.target in measured:
        return spec.profile.target
    fitting = [name for name in linked(measured) if device.core in boards(name) and unit(name) == device.latency_unit]
    return fitting[0] if fitting else None


def _report_quality(ctx: StepContext, task: Task, outputs: np.ndarray, samples: Split) -> str:
    """Metrics of the C program's quality, alone and against the float network's on the same samples; in words."""
    import numpy as np

    measure = task.MEASURE
    quality, count = task.quality(outputs, samples), len(samples)
    before = task.quality(np.load(ctx.upstream("train") / "test_outputs.npy")[:count], samples)
    ctx.metric(f"simulate.{measure.name}", quality, measure.unit, measure.direction, measure.allowed(count))
    drop, tolerance = measure.drop(before, quality), measure.allowed(count, 2)
    ctx.metric(f"simulate.{measure.name}_drop", drop, measure.points, "lower", tolerance)
    summary = task.summary(outputs, samples)
    if summary is not None:
        summary.to_csv(ctx.dir / "summary.csv", index=False)
    return f"{measure.name} {measure.text(quality)}"


def _report_executor(ctx: StepContext, data: DataSet, deployed: QGraph) -> None:
    """Metrics of the integers on the whole test part, computed by torch: those of C."""
    from mico_runner.quant.prefix import Memory
    from mico_runner.steps.network import scored

    measure, count = data.task.MEASURE, len(data.test)
    quality, loss = scored(deployed, data.task, data.test, Memory(0))
    ctx.metric(f"simulate.executor_{measure.name}", quality, measure.unit, measure.direction, measure.allowed(count))
    ctx.metric("simulate.executor_loss", loss, "loss", "lower", tolerance="1%")
    ctx.log(f"executor: {count} images, {measure.name} {measure.text(quality)}, loss {loss:.4f}")


_TIMED_IMAGES = 200  # their median is the time of a layer
_AT_ONCE = 250  # images of one call of the program: parts for several processes


def _first(split: Split, images: int | str) -> Split:
    return split if isinstance(images, str) else split.first(images)


def _run_c(
    ctx: StepContext, deployed: QGraph, images: Split, sanitize: bool
) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Logits of the C program, those of the reference, and per-layer times (columns layer, measured)."""
    import pandas as pd

    from mico_runner import quant
    from mico_runner.steps.rtl import program_for
    from mico_runner.targets import host

    sources = program_for(ctx, deployed, "host")
    integers = quant.quantize_input(deployed, images.floats())
    logits, expected = _in_c(ctx, deployed, sources, ctx.work, integers, sanitize)
    if sanitize:
        ctx.metric("simulate.sanitizer_errors", 0, "count", "lower")  # host.run raises StepError at the first finding
    times = host.time_layers(host.build(sources, ctx.work, timing=True), integers[:_TIMED_IMAGES])
    return logits, expected, pd.DataFrame(times, columns=["layer", "measured"])


def _in_c(
    ctx: StepContext, deployed: QGraph, sources: Path, builds: Path, integers: np.ndarray, sanitize: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Outputs of a C program on the host and those of the reference; with `sanitize` it also has to end well under sanitizers."""
    import numpy as np

    from mico_runner.targets import host

    binaries = [host.build(sources, builds, sanitize=each) for each in (False, True)[: 1 + sanitize]]
    parts = [integers[at : at + _AT_ONCE] for at in range(0, len(integers), _AT_ONCE)]
    found = ctx.map(_CAndReference(tuple(binaries), deployed), parts, here=True)
    logits, expected = (np.concatenate(of) for of in zip(*found, strict=True))
    return logits, expected


@dataclass(frozen=True)
class _CAndReference:
    """Outputs of the C program and of the integer reference for some images; further binaries only have to end well."""

    binaries: tuple[Path, ...]
    deployed: QGraph

    def __call__(self, integers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        from mico_runner.quant import reference
        from mico_runner.targets import host

        outputs = [host.run(binary, integers) for binary in self.binaries]
        return outputs[0], reference.run(self.deployed, integers)


def _accelerator(ctx: StepContext, network: Graph, assignment: Assignment, target: str) -> pd.DataFrame:
    """Simulated cycles of the weighted layers (columns layer, measured), with the trace in <target>.csv."""
    from mico_runner.steps.inputs import device_of
    from mico_runner.steps.network import kernels, report_area, uniform
    from mico_runner.steps.traces import explained, report_streamed

    device = device_of(ctx.spec)
    table = kernels(network, assignment, device.batch)
    trace = explained(device, table)
    trace.to_csv(ctx.dir / f"{target}.csv", index=False)
    int8 = accelerators.of(device).simulate(kernels(network, uniform(network, 8, 8), device.batch))
    cycles = int(int8["cycles"].sum())
    ctx.metric("simulate.latency_ratio", trace["cycles"].sum() / cycles, "ratio", "lower", tolerance=0.02)
    ctx.metric("simulate.int8.latency", cycles, "cycles")
    ctx.metric("simulate.energy", trace["energy_pj"].sum(), "pJ", "lower", tolerance="1%")
    ctx.metric("simulate.int8.energy", int8["energy_pj"].sum(), "pJ")
    report_streamed(ctx, network, device, "simulate")
    busy = (trace["utilisation"] * trace["cycles"]).sum() / trace[
        "cycles"
    ].sum()  # of what the whole array could do meanwhile
    ctx.metric("simulate.utilisation", busy, "ratio", "higher", tolerance=0.02)
    report_area(ctx, device, "simulate")
    return trace[["layer", "cycles"]].rename(columns={"cycles": "measured"})
