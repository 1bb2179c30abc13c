"""At how many bits a decoder keeps keys and values, and which tensors these are."""

from __future__ import annotations

from dataclasses import replace

from mico_runner.errors import UsageError
from mico_runner.graph.fusion import alone
from mico_runner.graph.ir import Graph, Node
from mico_runner.quant.qgraph import INPUT_BITS

KEPT = "kept_bits"  # attribute of operators that keep inputs: of all that follow the first, which is not kept
READ = "read_bits"  # attribute of operators that can as well be computed when what they made is read


def keeping(graph: Graph, bits: int) -> Graph:
    """The network with keys and values of so many bits; of keys at fewer than 8 those before they are turned by their places.

    Turned keys are read at 8 bits. Raises UsageError: other bits than 8 for a network that keeps nothing.
    """
    makers = {node.output: node for node in graph.nodes}
    if bits == INPUT_BITS:
        return graph
    if not any(KEPT in node.attrs for node in graph.nodes):
        raise UsageError(
            f"quantisation: activations.kv_bits is {bits}, and network {graph.name!r} keeps no keys and values;"
            f" allowed here: {INPUT_BITS}"
        )
    for node in graph.nodes:
        if KEPT not in node.attrs:
            continue
        at = []
        for tensor in node.inputs[1:]:
            maker = makers.get(tensor)
            turned = maker is not None and READ in maker.attrs and alone(graph, tensor)
            if maker is not None and turned:
                makers[tensor] = _with(maker, READ, bits)
            at.append(INPUT_BITS if turned else bits)
        makers[node.output] = _with(node, KEPT, tuple(at))
    return replace(graph, nodes=tuple(makers[node.output] for node in graph.nodes))


def _with(node: Node, key: str, value: object) -> Node:
    return replace(node, attrs=node.attrs | {key: value})
