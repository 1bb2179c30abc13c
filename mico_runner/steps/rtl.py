"""What the simulate step does on RTL: cycles of the deployed network, and how well the predictor foresees other assignments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from mico_runner import codegen, durable, quant
from mico_runner.graph.ir import Graph
from mico_runner.quant import reference
from mico_runner.quant.qgraph import Assignment, LayerBits, QGraph
from mico_runner.steps.base import StepContext
from mico_runner.steps.codegen import target_core
from mico_runner.steps.inputs import device_of, present, schedule_of, scratch_of
from mico_runner.steps.network import (
    dequantised,
    memory_direction,
    memory_limits,
    quantiser,
    report_limits,
    uniform,
)
from mico_runner.steps.network_latency import Latency
from mico_runner.targets import program, rtl

if TYPE_CHECKING:
    from mico_runner.data.dataset import DataSet, Split

TIMED_IMAGES = 4  # where only cycles matter: they hardly depend on the image
BUILDS = "rtl-builds"
TOLERANCE = "1%"  # simulated cycles repeat exactly; the compiler's version may differ


def program_for(ctx: StepContext, deployed: QGraph, runtime: str, folder: str = "") -> Path:
    """The C program for a runtime: that of the codegen step, or one made here when that is for another.

    Args:
        folder: of the codegen step, where the program of another point than the choice lies.
    """
    if present(ctx.spec.codegen).runtime == runtime:
        return ctx.upstream("codegen") / folder / "c"
    core, scratch = target_core(ctx.spec, runtime), scratch_of(ctx.spec)
    made = ctx.work / folder / runtime
    durable.remove(made)  # of an interrupted run: it may be damaged
    schedule, macs = schedule_of(ctx.spec)
    codegen.generate(deployed, made, runtime, core, scratch, schedule=schedule, max_macs=macs)
    return made


def report_memory(ctx: StepContext, flash: int, stack: int) -> None:
    """Metrics of what a linked program takes: its flash, its RAM (arena, input, output, stack at most), and what is over the limits.

    Raises nothing: a limit that is not kept breaks a default gate.
    """
    arena, given, output = (ctx.upstream_metric(f"codegen.{name}_bytes") for name in ("arena", "input", "output"))
    sizes = {"flash_bytes": flash, "ram_bytes": arena + given + output + stack}
    for name, size in sizes.items():
        ctx.metric(f"simulate.{name}", size, "bytes", memory_direction(ctx.spec, name), tolerance=TOLERANCE)
    estimate = ctx.upstream_metric("codegen.flash_bytes")
    ctx.log(
        f"linked program: {flash:,} bytes of flash, {estimate:,.0f} estimated; {sizes['ram_bytes']:,.0f} bytes of RAM"
    )
    report_limits(ctx, "simulate", sizes, memory_limits(ctx))


class RtlBench:
    """Networks of one spec on the core of its hardware; the cycles of a layer are medians over `images`."""

    def __init__(self, ctx: StepContext, network: Graph, data: DataSet, images: Split) -> None:
        self._ctx, self._graph, self._images = ctx, network, images.floats()
        self._task, self._samples = data.task, images
        self._ptq = quantiser(ctx.spec, network, data)
        self._device = device_of(ctx.spec)
        self._latency = Latency(ctx, network) if ctx.has("fit") else None

    def network(self, deployed: QGraph, assignment: Assignment) -> pd.DataFrame:
        """Run the deployed network, and the same at 8 bits. Returns columns layer, measured (cycles of each node)."""
        sources = program_for(self._ctx, deployed, "baremetal")
        eight = _Asked("rtl-int8", self._ptq.quantize(uniform(self._graph, 8, 8)), images=TIMED_IMAGES)
        (table, outputs, wrong), (int8, _, _) = self._run([_Asked("rtl", deployed, sources), eight])
        image = rtl.build(sources, self._ctx.work / BUILDS)
        bound = rtl.stack_bound(image).bytes
        self._ctx.metric("simulate.stack_bound_bytes", bound, "bytes", "lower", tolerance=TOLERANCE)
        report_memory(self._ctx, image.stat().st_size, bound)
        self._ctx.metric("simulate.rtl_mismatches", wrong, "images", "lower")
        measure = self._task.MEASURE
        shape = deployed.tensors[deployed.output].shape
        quality = self._task.quality(dequantised(deployed, outputs.reshape(len(outputs), *shape)), self._samples)
        tolerance = measure.allowed(len(outputs))
        self._ctx.metric(f"simulate.rtl_{measure.name}", quality, measure.unit, measure.direction, tolerance)
        total = float(table["measured"].sum())
        self._ctx.metric("simulate.network_cycles", total, "cycles", "lower", tolerance=TOLERANCE)
        ratio = total / float(int8["measured"].sum())
        self._ctx.metric("simulate.rtl_ratio", ratio, "ratio", "lower", tolerance=0.02)
        counted = self._counted(table, assignment)
        part = counted / self._counted(int8, uniform(self._graph, 8, 8))
        self._ctx.metric("simulate.latency_ratio", part, "ratio", "lower", tolerance=0.02)
        self._ctx.metric("simulate.rtl_coverage", 100 * counted / total, "%", "higher", tolerance=1)
        table.to_csv(self._ctx.dir / "rtl.csv", index=False)
        count = len(self._images)
        self._ctx.log(
            f"{self._device.name}: {total:.0f} cycles an image, {ratio:.1%} of 8 bits; {wrong} of {count} images differ, "
            f"{measure.name} {measure.text(quality)}"
        )
        if counted < total:
            self._ctx.log(
                f"of these cycles {counted / total:.1%} are of layers that the predictor knows; they take {part:.1%} of 8 bits"
            )
        return table

    def predictions(self, count: int) -> None:
        """Predicted against measured cycles for `count` random assignments: of all layers, or of those that the profile has.

        Writes rtl_predictions.csv, a row per assignment, and rtl_prediction_layers.csv, a row per layer of each.
        """
        latency = present(self._latency)
        space = present(self._ctx.spec.search).space
        rng = np.random.default_rng(self._ctx.seed)
        assignments = []
        for _ in range(count):
            bits = (
                rng.choice(space.weight_bits, len(latency.layers)),
                rng.choice(space.activation_bits, len(latency.layers)),
            )
            assignments.append({n: LayerBits(float(w), int(a)) for n, w, a in zip(latency.layers, *bits, strict=True)})
        every = enumerate(map(self._ptq.quantize, assignments))
        found = self._run([_Asked(f"rtl-{number}", graph, images=1) for number, graph in every])
        rows, layers = [], []
        for number, (assignment, (table, _, wrong)) in enumerate(zip(assignments, found, strict=True)):
            parts = latency.by_layer(assignment).rename(columns={"latency": "predicted"}).merge(table, on="layer")
            layers.append(parts.assign(assignment=number))
            text = " ".join(f"{b.weight:g}x{b.activation}" for b in assignment.values())
            totals = {"predicted": latency(assignment), "measured": parts["measured"].sum()}
            rows.append({"bits": text, **totals, "network": table["measured"].sum(), "mismatches": wrong})
        table = pd.DataFrame(rows)
        table.to_csv(self._ctx.dir / "rtl_predictions.csv", index=False)
        pd.concat(layers).to_csv(self._ctx.dir / "rtl_prediction_layers.csv", index=False)
        error = (table["predicted"] / table["measured"] - 1).abs()
        self._ctx.metric("simulate.rtl_prediction_mape", float(error.mean()), "ratio", "lower", tolerance=0.01)
        self._ctx.metric("simulate.rtl_prediction_worst", float(error.max()), "ratio", "lower", tolerance=0.02)
        self._ctx.metric("simulate.rtl_prediction_mismatches", int(table["mismatches"].sum()), "images", "lower")
        rank = float(table["predicted"].corr(table["measured"], method="spearman"))
        if np.isfinite(rank):  # one assignment, or equal ones, have no order
            self._ctx.metric("simulate.rtl_prediction_spearman", rank, "ratio", "higher", tolerance=0.02)
        what = "networks" if (table["measured"] == table["network"]).all() else "the layers in the profile"
        self._ctx.log(
            f"{count} random assignments: {what} predicted within {error.mean():.1%} on average, {error.max():.1%} at worst"
        )

    def _counted(self, table: pd.DataFrame, assignment: Assignment) -> float:
        """Cycles of the layers whose latency the search knows; of all where there is no predictor."""
        known = table["layer"] if self._latency is None else self._latency.by_layer(assignment)["layer"]
        return float(table["measured"][table["layer"].isin(known)].sum())

    def _run(self, asked: Sequence[_Asked]) -> Iterator[_Answer]:
        """What each network gives, in order."""
        core, waits = present(self._device.core), int(self._device.value("wait_states"))
        spec = self._ctx.spec
        run = _OnCore(self._ctx.work, core, waits, scratch_of(spec), schedule_of(spec), self._images)
        return self._ctx.map(run, asked, here=True)


class _Asked(NamedTuple):
    """A network to run.

    Attributes:
        name: of the folder where its program is made.
        sources: its program, where that is there already.
        images: that it runs on, the first ones; None: all.
    """

    name: str
    graph: QGraph
    sources: Path | None = None
    images: int | None = None


_Answer = tuple[pd.DataFrame, np.ndarray, int]


@dataclass(frozen=True)
class _OnCore:
    """Cycles of each node (columns layer, measured), the outputs, and how many images' differ from the reference's."""

    work: Path
    core: str
    wait_states: int
    scratch: str
    schedule: tuple[str, float]
    images: np.ndarray

    def __call__(self, asked: _Asked) -> _Answer:
        sources = asked.sources
        if sources is None:
            sources = self.work / asked.name
            durable.remove(sources)
            schedule, macs = self.schedule
            codegen.generate(
                asked.graph, sources, "baremetal", self.core, self.scratch, schedule=schedule, max_macs=macs
            )
        image = rtl.build(sources, self.work / BUILDS)
        integers = quant.quantize_input(asked.graph, self.images[: asked.images])
        run = rtl.run(image, [integers], on=self.core, wait_states=self.wait_states)[0]
        expected = reference.run(asked.graph, integers)
        wrong = int((run.outputs != expected).reshape(len(expected), -1).any(axis=1).sum())
        cycles = program.by_node(image.parent.parent, run.cycles).items()
        return pd.DataFrame(cycles, columns=["layer", "measured"]), run.outputs, wrong
