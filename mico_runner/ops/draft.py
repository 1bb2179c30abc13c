"""A captured network while operators rewrite it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

from mico_runner.ops.node import Node


@dataclass
class Draft:
    """A node list that passes rewrite, in topological order.

    Attributes:
        origin: tensor -> the call of the traced module (its name in the fx graph) that computes the same values in the same
            order of elements. Not every tensor has one. A pass that changes what a tensor holds changes this, too.
        whole: tensors that are stored as whole numbers, with their range (`ops.whole`).
    """

    nodes: list[Node]
    shapes: dict[str, tuple[int, ...]]
    outputs: list[str]
    origin: dict[str, str]
    whole: dict[str, tuple[int, int, int]] = field(default_factory=dict)

    def readers(self) -> Counter[str]:
        """How many inputs of nodes each tensor is; an output of the network is read once more."""
        return Counter([*self.outputs, *(tensor for node in self.nodes for tensor in node.inputs)])

    def read_instead(self, old: str, new: str) -> None:
        """Let all readers of one tensor read another."""
        self.nodes = [
            replace(n, inputs=tuple(new if t == old else t for t in n.inputs)) if old in n.inputs else n
            for n in self.nodes
        ]
        self.outputs = [new if tensor == old else tensor for tensor in self.outputs]
        if old in self.whole:
            self.whole.setdefault(new, self.whole[old])


def drop_unused(draft: Draft) -> None:
    """Leave the nodes that the outputs depend on."""
    needed, kept = set(draft.outputs), []
    for node in reversed(draft.nodes):
        if node.output in needed:
            needed.update(node.inputs)
            kept.append(node)
    draft.nodes = kept[::-1]
