"""What a network costs, counted from its files alone: MACs, bit operations, rows of the kernel table for a cost model."""

from __future__ import annotations

from math import prod

import pandas as pd

from mico_runner.kernel_table import kernel_table
from mico_runner.ops import operator
from mico_runner.ops.node import Node
from mico_runner.quant.qgraph import QGraph, QNode, storage_bits, weights_of


def weighted(graph: QGraph) -> list[QNode]:
    return [node for node in graph.nodes if node.weight_bits is not None]


def macs(graph: QGraph, node: QNode) -> int:
    """Multiply-accumulates of a weighted operator for one sample: its outputs times the weights that each reads."""
    weight, _ = weights_of(node)
    return prod(graph.tensors[node.output].shape) * prod(weight.shape[1:])


def bops(graph: QGraph) -> float:
    """MACs times bits of weights and of what is read, of all weighted operators; ternary weights count 1.5."""
    return sum(
        macs(graph, node) * float(node.weight_bits or 0) * graph.tensors[node.inputs[0]].type.bits
        for node in weighted(graph)
    )


def kernel_rows(graph: QGraph, batch: int) -> pd.DataFrame:
    """The kernel table of the weighted operators, with their bits; `layer` is their name."""
    shapes = {name: tensor.shape for name, tensor in graph.tensors.items()}
    rows = []
    for node in weighted(graph):
        layer = Node(node.name, node.op, node.inputs, node.output, node.attrs, *weights_of(node))
        bits = {"weight_bits": storage_bits(node.weight_bits or 0), "act_bits": graph.tensors[node.inputs[0]].type.bits}
        rows.append({"layer": node.name, "batch": batch, **operator(node.op).row(layer, shapes, batch), **bits})
    return kernel_table(rows)
