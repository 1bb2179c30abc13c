"""The graph IR: a small typed list of operators between named tensors.

Tensors are float32 in NCHW order with the batch dimension left out: an image is (C, H, W), a vector (F,), tokens (T, F).
Nodes stand in topological order. Batch norms are weights and dropout is gone by the time a `Graph` leaves `graph.capture`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

# op -> attributes. Pairs are (height, width). conv1d is captured as conv2d with height 1.
OPS: dict[str, tuple[str, ...]] = {
    "conv2d": ("stride", "padding", "dilation", "groups"),  # weight (Cout, Cin/groups, kh, kw), bias (Cout,)
    "linear": (),  # weight (out, in), bias (out,); acts on the last dimension
    "max_pool2d": ("kernel", "stride", "padding"),
    "avg_pool2d": ("kernel", "stride", "padding"),  # padding counts as zeros (count_include_pad)
    "add": (),  # two inputs of one shape
    "concat": ("axis",),  # axis of the batch-less shape
    "relu": ("max",),  # max: None or 6.0
    "reshape": ("shape",),  # batch-less target shape; element order is NCHW order
}
WEIGHTED = ("conv2d", "linear")


@dataclass(frozen=True)
class Node:
    """One operator.

    Attributes:
        name: unique; for weighted nodes the module's dotted path in the torch module ("features.0").
        source: "file.py:line" of the call that made it, for messages ("" when unknown).
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    output: str
    attrs: dict[str, Any] = field(default_factory=dict)
    weight: np.ndarray | None = None
    bias: np.ndarray | None = None
    source: str = ""


def weight_of(node: Node) -> np.ndarray:
    """The weight of a node that must have one. Raises ValueError when it has none."""
    if node.weight is None:
        raise ValueError(f"node {node.name!r} ({node.op}) has no weight")
    return node.weight


@dataclass(frozen=True)
class Graph:
    """A network: one input tensor, one output tensor, nodes in topological order, the shape of every tensor."""

    name: str
    input: str
    output: str
    nodes: tuple[Node, ...]
    shapes: dict[str, tuple[int, ...]]

    @property
    def weighted(self) -> tuple[Node, ...]:
        """The nodes whose bit-widths can be chosen."""
        return tuple(n for n in self.nodes if n.op in WEIGHTED)

    def consumers(self, tensor: str) -> tuple[Node, ...]:
        return tuple(n for n in self.nodes if tensor in n.inputs)
