"""What a network costs: the one place that counts MACs, parameters, bytes and bit operations.

MACs = Ho * Wo * Cout * (Cin / groups) * kh * kw for one sample; a linear layer counts once per token.
BOPs = MACs * weight bits * activation bits (ternary counts 1.5).
Bytes = packed weights + biases + scales: the weights of one output are a row of ceil(bits) bits each (ternary takes 2), padded to
whole 32-bit words; a bias is an int32; a scale is an int32 multiplier and an int8 shift, per output channel.
Operators without weights cost no MACs here, as in torch's FLOP counter.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, prod
from typing import TYPE_CHECKING

from mico_runner.errors import UsageError
from mico_runner.graph.ir import Graph, Node, weight_of

if TYPE_CHECKING:
    import pandas as pd

Bits = Mapping[str, tuple[float, int]]  # weighted node -> (weight bits, activation bits), e.g. quant's Assignment

WORD_BITS = 32
BIAS_BYTES = 4
SCALE_BYTES = 4 + 1  # int32 multiplier, int8 shift


def macs(graph: Graph, node: Node) -> int:
    """Multiply-accumulates of one node for one sample; 0 without weights."""
    if node.weight is None:
        return 0
    outputs = prod(graph.shapes[node.output])
    taps: int = prod(node.weight.shape[1:])
    return outputs * taps


def params(node: Node) -> int:
    return sum(int(a.size) for a in (node.weight, node.bias) if a is not None)


def weight_bytes(node: Node, bits: float) -> int:
    """Packed weights: each output's row in whole 32-bit words."""
    rows, *row = weight_of(node).shape
    words = ceil(prod(row) * ceil(bits) / WORD_BITS)
    size: int = rows * words * WORD_BITS // 8
    return size


def node_bytes(node: Node, bits: float) -> int:
    """Weights, biases and scales of one weighted node; every output has a bias, be it zero."""
    return weight_bytes(node, bits) + len(weight_of(node)) * (BIAS_BYTES + SCALE_BYTES)


def model_bytes(graph: Graph, assignment: Bits) -> int:
    """Bytes of all constants. Raises UsageError when the assignment does not name exactly the weighted nodes."""
    check_assignment(graph, assignment)
    return sum(node_bytes(n, assignment[n.name][0]) for n in graph.weighted)


def bops(graph: Graph, assignment: Bits) -> float:
    """Bit operations for one sample. Raises UsageError when the assignment does not name exactly the weighted nodes."""
    check_assignment(graph, assignment)
    return float(sum(macs(graph, n) * assignment[n.name][0] * assignment[n.name][1] for n in graph.weighted))


def check_assignment(graph: Graph, assignment: Bits) -> None:
    """Raises UsageError naming the layers that are missing or unknown."""
    names = {n.name for n in graph.weighted}
    if names != set(assignment):
        missing, unknown = sorted(names - set(assignment)), sorted(set(assignment) - names)
        raise UsageError(
            f"bit assignment of {graph.name!r}: missing {missing}, unknown {unknown}; layers: {sorted(names)}"
        )


def layer_table(graph: Graph, assignment: Bits | None = None) -> pd.DataFrame:
    """One row per node: name, op, in_shape, out_shape (of the first input; no batch), macs, params.

    With an assignment also weight_bits, act_bits, bops and bytes (0 for nodes without weights).
    """
    import pandas as pd

    rows = []
    for node in graph.nodes:
        row: dict[str, object] = {"name": node.name, "op": node.op, "in_shape": graph.shapes[node.inputs[0]]}
        row |= {"out_shape": graph.shapes[node.output], "macs": macs(graph, node), "params": params(node)}
        rows.append(row)
    table = pd.DataFrame(rows)
    if assignment is not None:
        check_assignment(graph, assignment)
        bits = [assignment.get(n.name, (0, 0)) for n in graph.nodes]
        table["weight_bits"], table["act_bits"] = [b[0] for b in bits], [b[1] for b in bits]
        table["bops"] = table["macs"] * table["weight_bits"] * table["act_bits"]
        table["bytes"] = [
            node_bytes(n, b[0]) if n.weight is not None else 0 for n, b in zip(graph.nodes, bits, strict=True)
        ]
    return table
