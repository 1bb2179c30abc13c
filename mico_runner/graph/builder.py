"""A graph under construction: fresh names, shapes, and what keeps reshapes out of the way."""

from __future__ import annotations

from collections.abc import Container
from math import prod
from typing import Any

from mico_runner.graph.ir import Node


def unique(name: str, taken: Container[str]) -> str:
    """`name`, with "@2", "@3", ... behind it where it is taken."""
    first, count = name, 1
    while name in taken:
        count += 1
        name = f"{first}@{count}"
    return name


class Builder:
    """Collects nodes; tensors are called after the node that makes them."""

    def __init__(self, input_shape: tuple[int, ...], reserved: set[str]) -> None:
        self.reserved = reserved  # paths of modules, kept for the nodes they make
        self.nodes: list[Node] = []
        self.producer: dict[str, Node] = {}
        self.input = "input"
        self.shapes: dict[str, tuple[int, ...]] = {self.input: tuple(input_shape)}

    def emit(
        self, node_name: str, op: str, inputs: list[str], shape: tuple[int, ...], source: str, **fields: Any
    ) -> str:
        """Append a node and return the name of its output tensor."""
        name = unique(node_name, self.shapes)
        node = Node(name, op, tuple(inputs), name, source=source, **fields)
        self.nodes.append(node)
        self.producer[name] = node
        self.shapes[name] = shape
        return name

    def elementwise(self, node_name: str, op: str, inputs: list[str], source: str, **fields: Any) -> str:
        """Emit before the reshapes that made the inputs, so that it stands next to the operator it can be fused with."""
        roots = [self.root(t) for t in inputs]
        shape = self.shapes[inputs[0]]
        if len({self.shapes[t] for t in roots}) > 1:
            return self.emit(node_name, op, inputs, shape, source, **fields)
        output = self.emit(node_name, op, roots, self.shapes[roots[0]], source, **fields)
        return self.reshape(output, shape, source)

    def reshape(self, tensor: str, shape: tuple[int, ...], source: str, node_name: str = "reshape") -> str:
        """`tensor` in another shape of as many elements; reshapes of reshapes and to the same shape leave no node."""
        if prod(shape) != prod(self.shapes[tensor]):
            raise ValueError(f"{self.shapes[tensor]} does not reshape to {shape}")
        root = self.root(tensor)
        if self.shapes[root] == tuple(shape):
            return root
        return self.emit(node_name, "reshape", [root], tuple(shape), source, attrs={"shape": tuple(shape)})

    def root(self, tensor: str) -> str:
        """The tensor before the reshape that made this one; its elements stand in the same order."""
        node = self.producer.get(tensor)
        return node.inputs[0] if node is not None and node.op == "reshape" else tensor

    def free(self, name: str) -> str:
        """`name`, changed when a module is called so."""
        return f"{name}_" if name in self.reserved else name
