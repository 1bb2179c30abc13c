"""This project's C kernels on the RTL of a RISC-V core."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mico_runner import codegen, durable
from mico_runner.codegen import depthwise, emit, placement, schemes, tiling
from mico_runner.codegen.emit import RV32_CFLAGS, RV32_TARGET
from mico_runner.errors import UsageError
from mico_runner.hardware import Hardware
from mico_runner.kernel_table import BITS, SHAPE
from mico_runner.profiling.targets import Measurement, Target, register
from mico_runner.profiling.targets.host import kernel_version
from mico_runner.quant.qgraph import QGraph, QNode
from mico_runner.simulate import rtl
from mico_runner.simulate.host_kernels import single_layer

KERNELS_PER_PROGRAM = 128  # keeps one compilation within seconds and a program within the memory of the test bench


@register("rtl")
class Rtl(Target):
    """Cycles of one call of a C kernel on RTL, its code and weights not in the caches, as in a network; deterministic."""

    unit = "cycles"

    def conditions(self) -> dict[str, Any]:
        return {
            "compiler": rtl.compiler_version() if shutil.which(rtl.GCC) else None,  # planning needs none
            "cflags": f"{RV32_TARGET} {RV32_CFLAGS}",
            "scratch": self.scratch,
            "kernels_sha256": kernel_version(*program_sources("rtl")),
        }

    def measure(self, table: pd.DataFrame, hardware: Hardware, repeats: int, work: Path) -> Measurement:
        if hardware.core not in rtl.CORES:
            raise UsageError(f"profile.target is rtl, but hardware {hardware.name!r} names no core")
        wait_states = int(hardware.value("wait_states"))

        def run(folder: Path, images: list[np.ndarray]) -> list[np.ndarray]:
            runs = rtl.run(rtl.build(folder), images, on=hardware.core, wait_states=wait_states)
            return [run.cycles for run in runs]

        return Measurement(in_programs(table, work, run, self.scratch, hardware.core))


def program_sources(*boards: str) -> list[Path]:
    """What places the kernels of a bare-metal program in memory, and chooses among them: a cycle may depend on each."""
    folders = [emit.BOARDS / board for board in boards] + [emit.TEMPLATES]
    return [
        *(Path(module.__file__) for module in (schemes, tiling, depthwise, placement)),
        *(file for folder in folders for file in folder.iterdir()),
    ]


def in_programs(
    table: pd.DataFrame,
    work: Path,
    run: Callable[[Path, list[np.ndarray]], list[np.ndarray]],
    scratch: str,
    core: str | None = None,
) -> np.ndarray:
    """Latency of every row of a kernel table, in batches: int64 (rows,).

    Each kernel is timed in front of another, as in a network: at a network's end it would write wide integers, not bytes.

    Args:
        run: folder of a bare-metal program of several networks, one image for each -> latency of each one's calls, (1, calls).
        scratch: as `codegen.generate`.
        core: whose function unit the kernels use, if it has one.
    """
    rng = np.random.default_rng(0)
    calls = table[["kind", *SHAPE, *BITS]].to_dict("records")
    latencies: list[int] = []
    for start in range(0, len(calls), KERNELS_PER_PROGRAM):
        graphs = [single_layer(rng=rng, **call) for call in calls[start : start + KERNELS_PER_PROGRAM]]
        graphs = [replace(graph, name=f"kernel{i}") for i, graph in enumerate(graphs)]
        graphs = [_followed(graph) for graph in graphs]
        folder = work / f"{table['kind'].iloc[0]}-{start}"
        durable.remove(folder)  # of an interrupted run: it may be damaged
        codegen.generate_networks(graphs, folder, runtime="baremetal", core=core, scratch=scratch)
        tensors = [graph.tensors[graph.input] for graph in graphs]
        images = [rng.integers(0, t.type.qmax + 1, (1, *t.shape)) for t in tensors]
        latencies += [int(calls[:, :-1].sum()) for calls in run(folder, images)]
        shutil.rmtree(folder)
    return np.array(latencies, "int64")


def _followed(graph: QGraph) -> QGraph:
    """The graph of one kernel with another behind it, which reads its bytes: the largest of each channel, or for vectors a copy."""
    node, made = graph.nodes[0], graph.tensors[graph.output]
    if len(made.shape) == 3:
        window = {"kernel": made.shape[1:], "stride": (1, 1), "padding": (0, 0)}
        end = QNode("end", "max_pool2d", (graph.output,), "end", attrs=window)
        made = replace(made, shape=(made.shape[0], 1, 1))
    else:
        scale = {"multiplier": np.array([1 << 20], np.int32), "shift": np.array([30], np.int32)}
        end = QNode("end", "requant", (graph.output,), "end", **scale)
    return replace(graph, nodes=(node, end), output="end", tensors={**graph.tensors, "end": made})
