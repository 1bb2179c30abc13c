"""Kernels of a table in programs for boards, one after another as in a network: what RTL and QEMU share."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mico_runner import codegen, durable
from mico_runner.codegen.lowering import lower
from mico_runner.codegen.placement import places
from mico_runner.codegen.policy import KernelPolicy
from mico_runner.kernel_table import BITS, SHAPE
from mico_runner.quant.qgraph import QGraph, QNode
from mico_runner.targets.kernel_code import Compiler, Row, describe, version_of
from mico_runner.targets.one_kernel import single_layer

KERNELS_PER_PROGRAM = 128  # keeps one compilation within seconds and a program within the memory of the test bench
END = "end"  # the node behind the kernel that is timed
DOT_UNIT = "-DMICO_DOT_UNIT"  # as the generated Makefile defines it where kernels use the unit


def in_programs(
    table: pd.DataFrame,
    work: Path,
    run: Callable[[Path, list[np.ndarray]], list[np.ndarray]],
    scratch: str,
    core: str | None = None,
    each: Callable[..., Iterable[Any]] = map,
) -> np.ndarray:
    """Latency of every row of a kernel table, in batches: int64 (rows,).

    Args:
        each: as `Target` takes it.
        run: folder of a bare-metal program of several networks, one image for each -> latency of each one's calls, (1, calls).
        scratch: as `codegen.generate`.
        core: whose function unit the kernels use, if it has one.
    """
    programs = range(-(-len(table) // KERNELS_PER_PROGRAM))
    found = each(_Program(table, work, run, scratch, core), programs)
    return np.array([latency for latencies in found for latency in latencies], "int64")


@dataclass(frozen=True)
class _Program:
    """Latencies of the kernels of one program, by its number; the fields are the arguments of `in_programs`."""

    table: pd.DataFrame
    work: Path
    run: Callable[[Path, list[np.ndarray]], list[np.ndarray]]
    scratch: str
    core: str | None

    def __call__(self, number: int) -> list[int]:
        graphs, images = next(islice(networks(self.table), number, None))  # weights are drawn one after another
        folder = self.work / f"{self.table['kind'].iloc[0]}-{number}"
        durable.remove(folder)  # of an interrupted run: it may be damaged
        codegen.generate_networks(graphs, folder, KernelPolicy.of("baremetal", self.core, self.scratch), self.core)
        latencies = [int(calls[:, :-1].sum()) for calls in self.run(folder, images)]
        shutil.rmtree(folder)
        return latencies


def networks(table: pd.DataFrame) -> Iterator[tuple[list[QGraph], list[np.ndarray]]]:
    """Networks and one image for each, as many as one program holds, until every row of a kernel table has its own.

    Each kernel is timed in front of another, as in a network: at a network's end it would write wide integers, not bytes.
    """
    rng = np.random.default_rng(0)
    calls: list[dict[Any, Any]] = table[["kind", *SHAPE, *BITS]].to_dict("records")
    for start in range(0, len(calls), KERNELS_PER_PROGRAM):
        graphs = [single_layer(rng=rng, **call) for call in calls[start : start + KERNELS_PER_PROGRAM]]
        graphs = [followed(replace(graph, name=f"kernel{i}")) for i, graph in enumerate(graphs)]
        tensors = [graph.tensors[graph.input] for graph in graphs]
        yield graphs, [rng.integers(0, t.type.qmax + 1, (1, *t.shape)) for t in tensors]


def compiled(
    tables: dict[str, pd.DataFrame], gcc: str, cflags: str, scratch: str, core: str | None = None
) -> dict[str, dict[str, str]] | None:
    """The kernels that the rows of each kind run in these programs, as `kernel_code.describe`; None without the compiler.

    Args:
        cflags: the compiler's options: processor and optimisation.
        scratch, core: as `in_programs`.
    """
    if (version := version_of(gcc)) is None:
        return None
    policy = KernelPolicy.of("baremetal", core, scratch)
    compiler = Compiler(gcc, version, (*cflags.split(), *([DOT_UNIT] if policy.dot_unit else [])))
    found = {}
    for kind, table in tables.items():
        rows = []
        for graphs, _ in networks(table):
            programs = [lower(graph, policy) for graph in graphs]
            rows += [Row(p.calls[:-1], p, place) for p, place in zip(programs, places(programs), strict=True)]
        found[kind] = describe(rows, compiler)
    return found


def followed(graph: QGraph) -> QGraph:
    """The graph of one kernel with another behind it, which reads its bytes: the largest of each channel, or for vectors a copy."""
    node, made = graph.nodes[0], graph.tensors[graph.output]
    if len(made.shape) == 3:
        window = {"kernel": made.shape[1:], "stride": (1, 1), "padding": (0, 0)}
        end = QNode(END, "max_pool2d", (graph.output,), END, attrs=window)
        made = replace(made, shape=(made.shape[0], 1, 1))
    else:
        scale = {"multiplier": np.array([1 << 20], np.int32), "shift": np.array([30], np.int32)}
        end = QNode(END, "requant", (graph.output,), END, constants=scale)
    return replace(graph, nodes=(node, end), outputs=(END,), tensors={**graph.tensors, END: made})
