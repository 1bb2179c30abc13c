"""A graph under construction: fresh names, shapes, and the two rewrites that keep reshapes out of the way."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

from mico_runner.graph.ir import Node


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
        name = self._unique(node_name)
        node = Node(name, op, tuple(inputs), name, source=source, **fields)
        self._add(node)
        self.shapes[name] = shape
        return name

    def elementwise(self, node_name: str, op: str, inputs: list[str], source: str, **fields: Any) -> str:
        """Emit before the reshapes that made the inputs, so that it stands next to the operator it can be fused with."""
        roots = [self._root(t) for t in inputs]
        shape = self.shapes[inputs[0]]
        if len({self.shapes[t] for t in roots}) > 1:
            return self.emit(node_name, op, inputs, shape, source, **fields)
        output = self.emit(node_name, op, roots, self.shapes[roots[0]], source, **fields)
        return self.reshape(output, shape, source)

    def reshape(self, tensor: str, shape: tuple[int, ...], source: str, node_name: str = "reshape") -> str:
        """`tensor` in another shape of as many elements; reshapes of reshapes and to the same shape leave no node."""
        if prod(shape) != prod(self.shapes[tensor]):
            raise ValueError(f"{self.shapes[tensor]} does not reshape to {shape}")
        root = self._root(tensor)
        if self.shapes[root] == tuple(shape):
            return root
        return self.emit(node_name, "reshape", [root], tuple(shape), source, attrs={"shape": tuple(shape)})

    def weighted_before(self, tensor: str) -> Node | None:
        """The convolution or linear layer that made the tensor, a reshape in between or not."""
        node = self.producer.get(self._root(tensor))
        return node if node is not None and node.weight is not None else None

    def set_weights(self, node: Node, weight: Any, bias: Any) -> None:
        """Give an emitted node other weights (batch-norm folding)."""
        new = replace(node, weight=weight, bias=bias)
        self.nodes[next(i for i, n in enumerate(self.nodes) if n is node)] = new
        self.producer[node.output] = new

    def _add(self, node: Node) -> None:
        self.nodes.append(node)
        self.producer[node.output] = node

    def _root(self, tensor: str) -> str:
        node = self.producer.get(tensor)
        return node.inputs[0] if node is not None and node.op == "reshape" else tensor

    def free(self, name: str) -> str:
        """`name`, changed when a module is called so."""
        return f"{name}_" if name in self.reserved else name

    def _unique(self, name: str) -> str:
        first, count = name, 1
        while name in self.shapes:
            count += 1
            name = f"{first}@{count}"
        return name
