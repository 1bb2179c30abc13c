"""Rewrites of a finished node list that leave its result unchanged."""

from __future__ import annotations

from dataclasses import replace

from mico_runner.graph.ir import Node

Shapes = dict[str, tuple[int, ...]]


def drop_unused(nodes: list[Node], output: str) -> list[Node]:
    """The nodes that the output depends on."""
    needed, kept = {output}, []
    for node in reversed(nodes):
        if node.output in needed:
            needed.update(node.inputs)
            kept.append(node)
    return kept[::-1]


def relu_before_max_pool(nodes: list[Node], shapes: Shapes, output: str) -> tuple[list[Node], Shapes]:
    """relu(max_pool(x)) becomes max_pool(relu(x)), the same numbers: the ReLU can then be fused into the layer before."""
    nodes, shapes = list(nodes), dict(shapes)
    while True:
        readers: dict[str, int] = {output: 1}
        for node in nodes:
            for tensor in node.inputs:
                readers[tensor] = readers.get(tensor, 0) + 1
        pools = {n.output: i for i, n in enumerate(nodes) if n.op == "max_pool2d" and readers[n.output] == 1}
        found = next((i for i, n in enumerate(nodes) if n.op == "relu" and n.inputs[0] in pools), None)
        if found is None:
            return nodes, shapes
        relu, pool = nodes[found], nodes[pools[nodes[found].inputs[0]]]
        # The pool keeps the tensor that later nodes read; the ReLU makes the one between.
        nodes[nodes.index(pool)] = replace(relu, inputs=pool.inputs, output=pool.output)
        nodes[found] = replace(pool, inputs=(pool.output,), output=relu.output)
        shapes[pool.output] = shapes[pool.inputs[0]]
