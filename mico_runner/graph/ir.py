"""The graph IR: a small typed list of operators between named tensors.

Tensors are float32 in NCHW order with the batch dimension left out: an image is (C, H, W), a vector (F,), tokens (T, F).
Nodes stand in topological order; what each computes stands in its operator's file of `mico_runner.ops`. Batch norms are weights and
dropout is gone by the time a `Graph` leaves `graph.capture`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mico_runner.ops.node import Ends, Node, weight_of

__all__ = ["Graph", "Node", "weight_of"]


@dataclass(frozen=True)
class Graph(Ends):
    """A network: its input and output tensors, nodes in topological order, the shape of every tensor.

    Attributes:
        vocabularies: inputs that hold whole numbers, as tokens, and how many different ones: 0 .. n - 1. They are floats here, too.
        whole: tensors that are stored as the whole numbers that they hold, and their range (`ops.whole`).
    """

    nodes: tuple[Node, ...]
    shapes: dict[str, tuple[int, ...]]
    vocabularies: dict[str, int] = field(default_factory=dict)
    whole: dict[str, tuple[int, int, int]] = field(default_factory=dict)

    @property
    def weighted(self) -> tuple[Node, ...]:
        """The nodes whose bit-widths can be chosen."""
        return tuple(n for n in self.nodes if n.weight is not None)

    def consumers(self, tensor: str) -> tuple[Node, ...]:
        return tuple(n for n in self.nodes if tensor in n.inputs)
