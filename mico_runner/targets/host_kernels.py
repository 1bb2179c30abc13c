"""Single kernels on the host: many one-layer networks in one C program, their outputs and their time."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mico_runner import codegen, durable, machine
from mico_runner.codegen.lowering import lower
from mico_runner.codegen.policy import KernelPolicy
from mico_runner.errors import UsageError
from mico_runner.hardware import Hardware
from mico_runner.kernel_table import BITS, SHAPE
from mico_runner.quant.qgraph import QGraph
from mico_runner.targets import host, program, protocol, register
from mico_runner.targets.base import Measurement, Ran, Target
from mico_runner.targets.kernel_code import Compiler, Row, describe, version_of
from mico_runner.targets.one_kernel import single_layer

SAMPLE_NS = 20_000  # one sample repeats a kernel for at least this long: a thousand times the clock's resolution
GRAPHS_PER_PROGRAM = 250  # keeps one compilation within seconds
QUIET = 0.1  # a kernel whose samples spread more than this was disturbed, and is timed again
ROUNDS = 4
POLICY = KernelPolicy.of("host")


class KernelTime(NamedTuple):
    """Nanoseconds of one forward pass: median and interquartile range over the repeats."""

    median_ns: float
    spread_ns: float


def build_networks(
    graphs: Sequence[QGraph],
    folder: Path | str,
    sanitize: bool = False,
    policy: KernelPolicy = POLICY,
    schedule: str = "layers",
    max_macs: float = 1.0,
) -> Path:
    """One program of all `graphs` (their names are replaced by numbers) in `folder`; its binary. Raises as `host.build`.

    Args:
        policy: other targets' kernels run on the host, too, those for a function unit on a model of it.
        schedule, max_macs: as `codegen.generate`.
    """
    networks = [replace(g, name=f"network{i}") for i, g in enumerate(graphs)]
    codegen.generate_networks(networks, folder, policy, schedule=schedule, max_macs=max_macs)
    return host.build(folder, sanitize=sanitize)


def run_networks(binary: Path, images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Outputs of each network on its images (N, *input shape): int32 (N, *output shape). Raises as `host.run`."""
    return [found for (found,) in run_many(binary, [[x] for x in images])]


def run_many(binary: Path, inputs: Sequence[Sequence[np.ndarray]]) -> list[list[np.ndarray]]:
    """The same of networks with any number of inputs and outputs."""
    networks = program.describe(binary.parent)["networks"]
    with tempfile.TemporaryDirectory(prefix="mico-host-") as scratch:
        source, target = Path(scratch) / "inputs.bin", Path(scratch) / "outputs.bin"
        source.write_bytes(protocol.encode(networks, inputs))
        host.run_program([str(binary), "check", str(source), str(target)])
        counts = [len(x[0]) * protocol.output_count(n) for n, x in zip(networks, inputs, strict=True)]
        values = host.read_exactly(target, np.int32, sum(counts), binary.name)
    parts = np.split(values, np.cumsum(counts)[:-1])
    return [protocol.split(part, network) for part, network in zip(parts, networks, strict=True)]


def time_kernels(
    graphs: Sequence[QGraph], repeats: int = 15, into: Path | str | None = None, sample_ns: int = SAMPLE_NS
) -> list[KernelTime]:
    """Measure the forward pass of each graph on this machine, on one core, caches warm.

    Rounds go through all graphs, so that a disturbance of the machine hits one sample of many kernels, not all samples of one.

    Args:
        graphs: as `single_layer` makes them.
        repeats: samples per graph.
        into: folder for the programs; a temporary one by default.
        sample_ns: a sample repeats the kernel until it takes at least this long.

    Raises:
        StepSkipped: gcc or make is missing.
        StepError: a program does not compile, crashes or hangs.
    """
    times: list[KernelTime] = []
    with tempfile.TemporaryDirectory(prefix="mico-kernels-") as scratch:
        root = Path(into) if into else Path(scratch)
        for start in range(0, len(graphs), GRAPHS_PER_PROGRAM):
            part = graphs[start : start + GRAPHS_PER_PROGRAM]
            binary = build_networks(part, root / f"kernels{start}")
            record = root / f"kernels{start}" / "times.bin"
            host.run_program([str(binary), "time", str(repeats), str(sample_ns), str(record)])
            raw = host.read_exactly(record, np.uint64, 2 * repeats * len(part), binary.name).reshape(
                repeats, len(part), 2
            )
            low, middle, high = np.percentile(raw[..., 0] / raw[..., 1], [25, 50, 75], axis=0)
            times += [KernelTime(float(m), float(h - w)) for w, m, h in zip(low, middle, high, strict=True)]
    return times


@register("host")
class Host(Target):
    """Nanoseconds of one call of a C kernel on this machine: one core, caches warm, the median over the repeats.

    Disturbed kernels are timed again, a few times at most; of each kernel the calmest measurement counts. The kernels take the
    same time whatever their weights and activations are, so these are random.
    """

    unit = "ns"
    deterministic = False

    def run(self, program: Path, inputs: np.ndarray, hardware: Hardware, work: Path) -> Ran:
        outputs = host.run(host.build(program, work / "builds"), inputs)
        times = host.time_layers(host.build(program, work / "builds", timing=True), inputs)
        return Ran(outputs, dict(times))

    def conditions(self, tables: dict[str, pd.DataFrame], hardware: Hardware) -> dict[str, Any]:
        _check(hardware)
        about = {
            **machine.describe(),  # without a compiler, too: planning needs none, measuring says so
            "cflags": host.CFLAGS,
            "native": host.native_options() if version_of(host.GCC) else None,
        }
        return {**about, "kernels": self.kernels(tables, hardware, about)}

    def kernels(
        self, tables: dict[str, pd.DataFrame], hardware: Hardware, conditions: dict[str, Any]
    ) -> dict[str, dict[str, str]] | None:
        if (version := version_of(host.GCC)) is None:
            return None
        compiler = Compiler(host.GCC, version, tuple(host.CFLAGS.replace(host.NATIVE, conditions["native"]).split()))
        found = {}
        for kind, table in tables.items():
            programs = [lower(graph, POLICY) for graph in _graphs(table)]
            found[kind] = describe([Row(program.calls, program) for program in programs], compiler)
        return found

    def measure(self, table: pd.DataFrame, hardware: Hardware, repeats: int, work: Path) -> Measurement:
        _check(hardware)
        graphs = _graphs(table)
        median, spread = np.zeros(len(graphs)), np.full(len(graphs), np.inf)
        for number in range(ROUNDS):
            disturbed = np.flatnonzero(spread > QUIET)
            if not len(disturbed):
                break
            folder = work / f"{table['kind'].iloc[0]}-{number}"
            durable.remove(folder)  # of an interrupted run: it may be damaged
            times = time_kernels([graphs[i] for i in disturbed], repeats, into=folder)
            for i, time in zip(disturbed, times, strict=True):
                if time.spread_ns / time.median_ns < spread[i]:
                    median[i], spread[i] = time.median_ns, time.spread_ns / time.median_ns
        return Measurement(np.maximum(1, np.round(median)).astype("int64"), spread)


def _graphs(table: pd.DataFrame) -> list[QGraph]:
    """A network of each row alone."""
    rng = np.random.default_rng(0)
    calls: list[dict[Any, Any]] = table[["kind", *SHAPE, *BITS]].to_dict("records")
    return [single_layer(rng=rng, **call) for call in calls]


def _check(hardware: Hardware) -> None:
    if hardware.batch != 1:
        raise UsageError(
            f"profile.target is host, whose kernels take one sample per call; hardware {hardware.name!r} has a "
            f"batch of {hardware.batch}"
        )
