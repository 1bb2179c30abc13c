"""Channels of a tensor are brought to one size and to the mean 0, where what makes and reads them can take it in.

One step serves all channels of a tensor. What makes it may give each channel (last axis) multiplied by a factor and with a term added,
if all that read it take that back: a layer in its weights and biases; causal attention, as a term added to all keys adds the same to
all scores of a query, and a factor of keys is met by its inverse for queries; a gate passes a factor on to what reads the product.
The network computes the same. How an operator does it stands in its file (`Operator.rescaled`, `Operator.undoing`).

Xiao et al., "SmoothQuant", ICML 2023, equation 4, for norms; here for keys, values and gates, too, and with means.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from mico_runner.graph.fusion import alone
from mico_runner.graph.ir import Graph, Node
from mico_runner.graph.run import images_at_once, run_many
from mico_runner.ops import operator
from mico_runner.ops.base import Channels

BATCH = 32  # images at once
SHARE = (
    0.75  # exponent of a size where weights take in the inverse: of 0.5, 0.75 and 1 the best at 8 bits, near it at 4
)
MOST = 2.0**8  # between the factors of a tensor's channels


class _Range(NamedTuple):
    """Least, greatest and mean value of each channel, float64 (C,)."""

    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray

    def sizes(self, centre: np.ndarray) -> np.ndarray:
        """Greatest distance from the centre beside that of the largest channel; ones where all are 0."""
        found = np.maximum(self.high - centre, centre - self.low)
        return found / found.max() if found.max() > 0 else np.ones_like(found)


def balanced(graph: Graph, inputs: Sequence[np.ndarray]) -> Graph:
    """The network with other factors, terms, weights and biases around such tensors.

    Args:
        inputs: calibration images, float32 (N, *shape) of every input. Of a tensor that is passed on by its reader both have their
            part in a channel's size: the larger.
    """
    makers = {node.output: node for node in graph.nodes}
    none = {tensor: Channels(np.ones(width := graph.shapes[tensor][-1]), np.zeros(width)) for tensor in makers}
    found = {tensor: changed for tensor in makers if (changed := _changed(graph, makers, tensor, none[tensor]))}
    passed = {
        tensor: [tensor, *(name for name in found[tensor] if _passes(graph, makers[name], tensor))] for tensor in found
    }
    ranges = _ranges(graph, inputs, {name for names in passed.values() for name in names})
    for tensor, names in passed.items():
        shifted = Channels(none[tensor].factor, none[tensor].term + 1)
        centre = ranges[tensor].mean if _changed(graph, makers, tensor, shifted) else none[tensor].term
        size = np.maximum(ranges[names[-1]].sizes(centre), 1 / MOST)
        weighted = any(node.weight is not None for name, node in found[tensor].items() if name != tensor)
        factor = size ** (-SHARE if weighted else -1.0)
        makers |= _changed(graph, makers, tensor, Channels(factor, -centre * factor))
    return replace(graph, nodes=tuple(makers[node.output] for node in graph.nodes))


def _changed(graph: Graph, makers: Mapping[str, Node], tensor: str, by: Channels) -> dict[str, Node]:
    """The nodes that change with a tensor, by their outputs; none where one of them cannot."""
    made = operator(makers[tensor].op).rescaled(makers[tensor], by)
    if made is None:
        return {}
    found, waiting = {tensor: made}, [(tensor, by)]
    while waiting:
        read, change = waiting.pop()
        if read in graph.outputs:
            return {}
        for reader in graph.consumers(read):
            node = found.get(reader.output, makers[reader.output])
            undone = operator(node.op).undoing(node, node.inputs.index(read), change, graph.shapes)
            if undone is None or node.inputs.count(read) > 1:
                return {}
            found[node.output] = undone.node
            if undone.output is not None:
                waiting.append((node.output, undone.output))
            for other, wanted in undone.inputs.items():
                maker = makers.get(other) if alone(graph, other) and other not in found else None
                made = operator(maker.op).rescaled(maker, wanted) if maker else None
                if made is None:
                    return {}
                found[other] = made
    return found


def _passes(graph: Graph, node: Node, tensor: str) -> bool:
    """Whether a node that reads the tensor makes one of the same channels, changed alike."""
    if tensor not in node.inputs or graph.shapes[node.output] != graph.shapes[tensor]:
        return False
    width = graph.shapes[tensor][-1]
    none = Channels(np.ones(width), np.zeros(width))
    undone = operator(node.op).undoing(node, node.inputs.index(tensor), none, graph.shapes)
    return undone is not None and undone.output is not None


def _ranges(graph: Graph, inputs: Sequence[np.ndarray], tensors: Collection[str]) -> dict[str, _Range]:
    seen: dict[str, list[np.ndarray]] = {tensor: [] for tensor in tensors}

    def observe(tensor: str, x: torch.Tensor) -> None:
        if tensor in seen:
            rows = x.reshape(-1, x.shape[-1]).double()
            seen[tensor].append(torch.stack([*rows.aminmax(dim=0), rows.mean(0)]).numpy())

    if not seen:
        return {}
    at_once = images_at_once(graph.shapes.values(), BATCH)
    for start in range(0, len(inputs[0]), at_once):
        run_many(graph, [x[start : start + at_once] for x in inputs], observe)
    stacked = {tensor: np.stack(parts) for tensor, parts in seen.items()}
    return {tensor: _Range(x[:, 0].min(0), x[:, 1].max(0), x[:, 2].mean(0)) for tensor, x in stacked.items()}
