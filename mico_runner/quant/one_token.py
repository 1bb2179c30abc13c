"""A decoder for one token at a time: the integer network of a whole sequence, with what it keeps of the tokens before.

Row t of what `qgraph` gives for a sequence is what the network for one token gives in step t, integer for integer.
"""

from __future__ import annotations

from dataclasses import replace

from mico_runner.errors import UsageError
from mico_runner.ops import operator
from mico_runner.quant.assembly import whole_numbers
from mico_runner.quant.qgraph import QGraph, QTensor

PLACE = "place"


def one_token(qgraph: QGraph) -> QGraph:
    """The network that reads one token (1,) and its place (1,), and gives the row of its outputs (1, ...).

    A sequence begins at place 0; each place follows the one before. Samples of a batch are then tokens one after another.

    Raises UsageError: a node reads other tokens than its own in a way that is not kept.
    """
    (tokens,) = qgraph.tensors[qgraph.input].shape
    nodes, tensors = [], {PLACE: QTensor((1,), whole_numbers(0, tokens - 1))}
    for name, tensor in qgraph.tensors.items():
        if name == PLACE or tensor.shape[0] != tokens:
            raise UsageError(
                f"network {qgraph.name!r}: tensor {name!r} {tensor.shape} is no sequence of {tokens} tokens"
            )
        tensors[name] = replace(tensor, shape=(1, *tensor.shape[1:]))
    for node in qgraph.nodes:
        found = operator(node.op).for_token(node, PLACE, tokens)
        if found is None:
            raise UsageError(
                f"network {qgraph.name!r}: node {node.name!r} ({node.op}) cannot be computed for one token at a time;"
                " allowed: a decoder, whose tokens meet in causal attention alone"
            )
        nodes.append(found)
    return QGraph(qgraph.name, (*qgraph.inputs, PLACE), qgraph.outputs, tuple(nodes), tensors)
