"""A network as rows of the kernel table (`mico_runner.kernel_table`): what a latency predictor is asked."""

from __future__ import annotations

from mico_runner.graph.fusion import fused
from mico_runner.graph.ir import Graph
from mico_runner.ops import operator
from mico_runner.ops.base import Row, elements_row


def kernel_rows(graph: Graph, batch: int) -> list[Row]:
    """One row per kernel call, without bits: kind, layer (the node's name) and the shape columns of `mico_runner.kernel_table`.

    Sizes are after padding. A linear layer over tokens has batch * tokens samples. What is part of the kernel before it makes no row,
    nor does an operator without a kernel in any profile (`Operator.NO_KERNEL`).

    Raises:
        UsageError: different strides in height and width where both matter: the kernel table has one stride.
    """
    rows = []
    for step in fused(graph):
        node, of = step.node, operator(step.node.op)
        if not of.NO_KERNEL:
            rows.append({"layer": node.name, "batch": batch} | of.row(node, graph.shapes, batch))
    return rows


def elementwise_row(graph: Graph, tensor: str, kind: str, batch: int) -> Row:
    """The row of a kernel that goes over a tensor once and is no node of the network, as `kernel_rows` gives rows of nodes."""
    return {"layer": tensor, "kind": kind, "batch": batch} | elements_row(graph.shapes[tensor])
