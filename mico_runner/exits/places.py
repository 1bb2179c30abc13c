"""Where a network can end early: tensors through which all that it computes passes."""

from __future__ import annotations

import numpy as np

from mico_runner.errors import UsageError
from mico_runner.graph import costs
from mico_runner.graph.ir import Graph

MIDDLE = (
    0.1,
    0.9,
)  # share of the products before an exit: outside, a head costs more than it can spare, or spares nothing


def necks(graph: Graph) -> dict[str, float]:
    """Images (C, H, W) that alone lead from the part before them to the rest, and the share of the network's products before each.

    Only the last of tensors with the same products before them is one: a ReLU's output, not its input.
    """
    total = sum(costs.macs(graph, node) for node in graph.nodes)
    last = {tensor: i for i, node in enumerate(graph.nodes) for tensor in node.inputs}
    last |= dict.fromkeys(graph.outputs, len(graph.nodes))
    found: dict[str, float] = {}
    open_, done = set(graph.inputs), 0
    for i, node in enumerate(graph.nodes):
        open_ = {tensor for tensor in open_ if last.get(tensor, -1) > i} | {node.output}
        done += costs.macs(graph, node)
        shape = graph.shapes[node.output]
        if open_ == {node.output} and len(shape) == 3 and min(shape[1:]) > 1:
            share = done / total if total else 0.0
            found = {tensor: before for tensor, before in found.items() if before < share}
            found[node.output] = share
    return found


def spread(graph: Graph, most: int) -> list[str]:
    """At most so many of the necks, those nearest to parts of equal numbers of products, in order.

    Raises UsageError: the network has none in its middle.
    """
    known = {tensor: share for tensor, share in necks(graph).items() if MIDDLE[0] <= share <= MIDDLE[1]}
    if not known:
        raise UsageError(
            f"network {graph.name!r} has no tensor in its middle that all of it passes through; name places in model.exits.at"
        )
    tensors, shares = list(known), np.array(list(known.values()))
    wanted = np.arange(1, most + 1) / (most + 1)
    return [tensors[i] for i in sorted({int(np.abs(shares - each).argmin()) for each in wanted})]


def checked(graph: Graph, names: tuple[str, ...]) -> list[str]:
    """The tensors of these nodes' outputs, in the network's order. Raises UsageError: one is no neck of the network."""
    known = necks(graph)
    for name in names:
        if name not in known:
            allowed = ", ".join(f"{tensor} ({share:.0%} of the products)" for tensor, share in known.items())
            raise UsageError(f"model.exits.at: found {name!r}; allowed: {allowed}")
    return sorted(names, key=list(known).index)
