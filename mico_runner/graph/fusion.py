"""Which operators become part of the operator in front of them when a network is quantised."""

from __future__ import annotations

from dataclasses import dataclass

from mico_runner.graph.ir import Graph, Node
from mico_runner.ops import operator


@dataclass(frozen=True)
class FusedNode:
    """A node to be quantised; with a fused ReLU `output` is the ReLU's tensor. `top` is the limit of a ReLU6."""

    node: Node
    output: str
    top: float | None = None


def fused(graph: Graph) -> list[FusedNode]:
    """The nodes, with every ReLU that alone reads the output of an operator that takes it folded into that operator."""
    steps: dict[str, FusedNode] = {}
    for node in graph.nodes:
        merges = operator(node.op).MERGES
        step = FusedNode(node, node.output, node.attrs["max"] if merges else None)
        before = steps.get(node.inputs[0])
        if merges and before is not None and alone(graph, before.output) and operator(before.node.op).TAKES_RELU:
            del steps[before.output]
            tops = [t for t in (before.top, step.top) if t is not None]
            step = FusedNode(before.node, node.output, min(tops, default=None))
        steps[step.output] = step
    return list(steps.values())


def alone(graph: Graph, tensor: str) -> bool:
    """Whether one node reads the tensor and it is no output of the network."""
    return len(graph.consumers(tensor)) == 1 and tensor not in graph.outputs
