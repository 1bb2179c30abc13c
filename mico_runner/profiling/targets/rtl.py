"""This project's C kernels on the RTL of a RISC-V core."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mico_runner import codegen, durable
from mico_runner.codegen import emit
from mico_runner.codegen.emit import RV32_CFLAGS, RV32_TARGET
from mico_runner.codegen.lowering import lower
from mico_runner.codegen.placement import places
from mico_runner.errors import StepSkipped, UsageError
from mico_runner.hardware import Hardware
from mico_runner.kernel_table import BITS, SHAPE
from mico_runner.profiling.kernel_code import Compiler, Row, describe, parsed_text_sha256, version_of
from mico_runner.profiling.targets import Measurement, Target, register
from mico_runner.quant.qgraph import QGraph, QNode
from mico_runner.targets import rtl
from mico_runner.targets.host_kernels import single_layer

KERNELS_PER_PROGRAM = 128  # keeps one compilation within seconds and a program within the memory of the test bench
DOT_UNIT = "-DMICO_DOT_UNIT"  # as the generated Makefile defines it where kernels use the unit


@register("rtl")
class Rtl(Target):
    """Cycles of one call of a C kernel on RTL, its code and weights not in the caches, as in a network; deterministic."""

    unit = "cycles"

    def conditions(self, tables: dict[str, pd.DataFrame], hardware: Hardware) -> dict[str, Any]:
        about = {
            "compiler": version_of(rtl.GCC),
            "cflags": f"{RV32_TARGET} {RV32_CFLAGS}",
            "scratch": self.scratch,
            "core_sha256": core_sha256(_core(hardware)),
            "board_sha256": board_sha256("rtl"),
        }
        return {**about, "kernels": self.kernels(tables, hardware, about)}

    def kernels(
        self, tables: dict[str, pd.DataFrame], hardware: Hardware, conditions: dict[str, Any]
    ) -> dict[str, dict[str, str]] | None:
        return compiled(tables, rtl.GCC, conditions["cflags"], self.scratch, _core(hardware))

    def measure(self, table: pd.DataFrame, hardware: Hardware, repeats: int, work: Path) -> Measurement:
        core = _core(hardware)
        wait_states = int(hardware.value("wait_states"))

        def run(folder: Path, images: list[np.ndarray]) -> list[np.ndarray]:
            runs = rtl.run(rtl.build(folder), images, on=core, wait_states=wait_states)
            return [run.cycles for run in runs]

        return Measurement(in_programs(table, work, run, self.scratch, core))


def _core(hardware: Hardware) -> str:
    if hardware.core not in rtl.CORES:
        raise UsageError(f"profile.target is rtl, but hardware {hardware.name!r} names no core")
    return hardware.core


def core_sha256(core: str) -> str | None:
    """Of the core's Verilog and its test bench; None when its Python package is missing."""
    try:
        return parsed_text_sha256(rtl.verilog(core))
    except StepSkipped:
        return None


def board_sha256(board: str) -> str:
    """Of what is linked around the kernels: how long they take depends a little on where they lie."""
    return parsed_text_sha256([*sorted((emit.BOARDS / board).iterdir()), emit.TEMPLATES / "bare.c.j2"])


def in_programs(
    table: pd.DataFrame,
    work: Path,
    run: Callable[[Path, list[np.ndarray]], list[np.ndarray]],
    scratch: str,
    core: str | None = None,
) -> np.ndarray:
    """Latency of every row of a kernel table, in batches: int64 (rows,).

    Args:
        run: folder of a bare-metal program of several networks, one image for each -> latency of each one's calls, (1, calls).
        scratch: as `codegen.generate`.
        core: whose function unit the kernels use, if it has one.
    """
    latencies: list[int] = []
    for number, (graphs, images) in enumerate(networks(table)):
        folder = work / f"{table['kind'].iloc[0]}-{number}"
        durable.remove(folder)  # of an interrupted run: it may be damaged
        codegen.generate_networks(graphs, folder, runtime="baremetal", core=core, scratch=scratch)
        latencies += [int(calls[:, :-1].sum()) for calls in run(folder, images)]
        shutil.rmtree(folder)
    return np.array(latencies, "int64")


def networks(table: pd.DataFrame) -> Iterator[tuple[list[QGraph], list[np.ndarray]]]:
    """Networks and one image for each, as many as one program holds, until every row of a kernel table has its own.

    Each kernel is timed in front of another, as in a network: at a network's end it would write wide integers, not bytes.
    """
    rng = np.random.default_rng(0)
    calls = table[["kind", *SHAPE, *BITS]].to_dict("records")
    for start in range(0, len(calls), KERNELS_PER_PROGRAM):
        graphs = [single_layer(rng=rng, **call) for call in calls[start : start + KERNELS_PER_PROGRAM]]
        graphs = [_followed(replace(graph, name=f"kernel{i}")) for i, graph in enumerate(graphs)]
        tensors = [graph.tensors[graph.input] for graph in graphs]
        yield graphs, [rng.integers(0, t.type.qmax + 1, (1, *t.shape)) for t in tensors]


def compiled(
    tables: dict[str, pd.DataFrame], gcc: str, cflags: str, scratch: str, core: str | None = None
) -> dict[str, dict[str, str]] | None:
    """What the rows of each kind run in these programs, as `kernel_code.describe`; None without the compiler.

    Args:
        cflags: the compiler's options: processor and optimisation.
        scratch, core: as `in_programs`.
    """
    if (version := version_of(gcc)) is None:
        return None
    chosen = codegen.families("baremetal", core, scratch)
    compiler = Compiler(gcc, version, (*cflags.split(), *([DOT_UNIT] if chosen["dot_unit"] else [])))
    found = {}
    for kind, table in tables.items():
        rows = []
        for graphs, _ in networks(table):
            programs = [lower(graph, **chosen) for graph in graphs]
            rows += [Row(p.calls[:-1], p, place) for p, place in zip(programs, places(programs), strict=True)]
        found[kind] = describe(rows, compiler)
    return found


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
