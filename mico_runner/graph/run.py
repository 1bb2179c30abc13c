"""The float meaning of a graph, in torch: to compare with the module it came from, and to calibrate quantisation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import prod

import numpy as np
import torch

from mico_runner.graph.ir import Graph, Node
from mico_runner.ops import operator

AT_ONCE = (
    2**23
)  # elements of the largest tensor of a batch: larger ones (32 MiB) malloc gives back, and each use pays for new pages


def images_at_once(shapes: Iterable[tuple[int, ...]], most: int) -> int:
    """Up to `most` images of a network with tensors of these shapes, so that their largest tensor together stays in memory at hand."""
    return min(most, max(1, AT_ONCE // max(prod(shape) for shape in shapes)))


def run_float(
    graph: Graph, inputs: np.ndarray | torch.Tensor, observe: Callable[[str, torch.Tensor], None] | None = None
) -> torch.Tensor:
    """Output (N, ...) of the network for inputs (N, *shape), in float32 or, when the inputs are float64, in float64.

    `observe(tensor_name, values)` is called with every tensor, the input included, as soon as it is computed.
    """
    given = {graph.input: inputs}
    return dict(zip(graph.outputs, run_many(graph, list(given.values()), observe), strict=True))[graph.output]


def run_many(
    graph: Graph,
    inputs: Sequence[np.ndarray | torch.Tensor],
    observe: Callable[[str, torch.Tensor], None] | None = None,
) -> list[torch.Tensor]:
    """The same of a network with any number of inputs and outputs."""
    values: dict[str, torch.Tensor] = {}
    for name, given in zip(graph.inputs, inputs, strict=True):
        x = torch.as_tensor(given)
        values[name] = x if x.dtype == torch.float64 else x.float()
        if tuple(x.shape[1:]) != graph.shapes[name]:
            raise ValueError(f"graph {graph.name!r} takes (N, {graph.shapes[name]}), found {tuple(x.shape)}")
    with torch.no_grad():
        if observe:
            for name in graph.inputs:
                observe(name, values[name])
        for node, spent in schedule(graph):
            values[node.output] = compute(node, [values[t] for t in node.inputs])
            if observe:
                observe(node.output, values[node.output])
            for tensor in spent:
                del values[tensor]
    return [values[tensor] for tensor in graph.outputs]


def schedule(graph: Graph) -> Iterator[tuple[Node, list[str]]]:
    """The nodes in order, each with the tensors that nothing reads after it."""
    last = {t: i for i, node in enumerate(graph.nodes) for t in (node.output, *node.inputs)}
    for tensor in graph.outputs:
        last.pop(tensor)
    spent: dict[int, list[str]] = {}
    for tensor, i in last.items():
        spent.setdefault(i, []).append(tensor)
    for i, node in enumerate(graph.nodes):
        yield node, spent.get(i, [])


def compute(node: Node, inputs: list[torch.Tensor]) -> torch.Tensor:
    """One node on tensors with their batch dimension."""
    return operator(node.op).real(node, inputs)
