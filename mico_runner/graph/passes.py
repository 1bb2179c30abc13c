"""Rewrites of a finished node list that leave its result unchanged."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from mico_runner.graph.ir import Node


@dataclass
class Draft:
    """A node list that passes rewrite, in topological order.

    Attributes:
        origin: tensor -> the call of the traced module (its name in the fx graph) that computes the same values in the same
            order of elements. Not every tensor has one. A pass that changes what a tensor holds changes this, too.
    """

    nodes: list[Node]
    shapes: dict[str, tuple[int, ...]]
    output: str
    origin: dict[str, str]

    def readers(self) -> Counter[str]:
        """How many inputs of nodes each tensor is; the network's output is read once more."""
        return Counter([self.output, *(tensor for node in self.nodes for tensor in node.inputs)])

    def read_instead(self, old: str, new: str) -> None:
        """Let all readers of one tensor read another."""
        self.nodes = [
            replace(n, inputs=tuple(new if t == old else t for t in n.inputs)) if old in n.inputs else n
            for n in self.nodes
        ]
        self.output = new if self.output == old else self.output


def drop_unused(draft: Draft) -> None:
    """Leave the nodes that the output depends on."""
    needed, kept = {draft.output}, []
    for node in reversed(draft.nodes):
        if node.output in needed:
            needed.update(node.inputs)
            kept.append(node)
    draft.nodes = kept[::-1]


def relu_before_max_pool(draft: Draft) -> None:
    """relu(max_pool(x)) becomes max_pool(relu(x)), the same numbers: the ReLU can then be fused into the layer before."""
    nodes = draft.nodes
    while True:
        readers = draft.readers()
        pools = {n.output: i for i, n in enumerate(nodes) if n.op == "max_pool2d" and readers[n.output] == 1}
        found = next((i for i, n in enumerate(nodes) if n.op == "relu" and n.inputs[0] in pools), None)
        if found is None:
            return
        relu, pool = nodes[found], nodes[pools[nodes[found].inputs[0]]]
        # The pool keeps the tensor that later nodes read; the ReLU makes the one between.
        nodes[nodes.index(pool)] = replace(relu, inputs=pool.inputs, output=pool.output)
        nodes[found] = replace(pool, inputs=(pool.output,), output=relu.output)
        draft.shapes[pool.output] = draft.shapes[pool.inputs[0]]
        draft.origin.pop(pool.output, None)
