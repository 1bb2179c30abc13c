"""Channels of a tensor that only a depthwise layer reads are brought to one range: cross-layer equalisation.

One step serves all channels of a tensor, and a channel that stays far below the others has few integers of it. Where a layer makes the
tensor and a layer that takes each channel alone reads it, a channel can be multiplied by a factor in the first and divided by it in the
second: the network computes the same, and as both have a weight scale per channel, neither's rounding changes.

Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019, section 4.1, for ranges of
activations instead of weights: they equalise weights because all channels of theirs share one scale.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from mico_runner.graph.fusion import alone
from mico_runner.graph.ir import Graph, Node, weight_of
from mico_runner.graph.run import images_at_once, run_many
from mico_runner.ops import operator
from mico_runner.ops.weighted import Weighted

BATCH = 32  # images at once
MOST = 2.0**16  # factor: what is smaller is nothing beside the others at any bits, and float32 has room for it


def equalised(graph: Graph, inputs: Sequence[np.ndarray]) -> Graph:
    """The network with other weights and biases in the layers around such tensors.

    Args:
        inputs: calibration images, float32 (N, *shape) of every input: a channel's range is its largest value on them, and stays as it
            is where that is 0.
    """
    pairs = {tensor: (made, read, channels) for made, tensor, read, channels in _pairs(graph)}
    if not pairs:
        return graph
    largest = _largest(graph, inputs, list(pairs))
    changed = {node.name: node for node in graph.nodes}
    for tensor, (made, read, channels) in pairs.items():
        most = largest[tensor].max()
        used = np.maximum(largest[tensor], most / MOST)
        factors = np.divide(most, used, out=np.ones_like(used), where=largest[tensor] > 0)
        changed[made.name] = _scaled(changed[made.name], factors, bias=True)
        changed[read.name] = _scaled(changed[read.name], 1 / factors[channels], bias=False)
    return replace(graph, nodes=tuple(changed[node.name] for node in graph.nodes))


def _pairs(graph: Graph) -> Iterator[tuple[Node, str, Node, np.ndarray]]:
    """Layers, the tensor that a layer of single channels reads, that layer, and the channel that each of its outputs reads."""
    for node in graph.weighted:
        found, tensor = operator(node.op), node.output
        if not isinstance(found, Weighted) or found.channel_axis(graph.shapes[tensor]) != 0:
            continue
        while alone(graph, tensor) and operator((reader := graph.consumers(tensor)[0]).op).scales(reader):
            tensor = reader.output
        if alone(graph, tensor) and isinstance(layer := operator((reader := graph.consumers(tensor)[0]).op), Weighted):
            channels = layer.channels_read(reader)
            if channels is not None:
                yield node, tensor, reader, channels


def _largest(graph: Graph, inputs: Sequence[np.ndarray], tensors: list[str]) -> dict[str, np.ndarray]:
    """The largest size of each channel (C,)."""
    found = {tensor: np.zeros(graph.shapes[tensor][0]) for tensor in tensors}

    def observe(tensor: str, x: torch.Tensor) -> None:
        if tensor in found:
            sizes = x.abs().amax([0, *range(2, x.ndim)]).double().numpy()
            found[tensor] = np.maximum(found[tensor], sizes)

    at_once = images_at_once(graph.shapes.values(), BATCH)
    for start in range(0, len(inputs[0]), at_once):
        run_many(graph, [x[start : start + at_once] for x in inputs], observe)
    return found


def _scaled(node: Node, factors: np.ndarray, *, bias: bool) -> Node:
    """The layer with each row of its weights, and its bias, multiplied."""
    weight = weight_of(node)
    by_row = factors.reshape(-1, *[1] * (weight.ndim - 1))
    changed = replace(node, weight=(weight * by_row).astype(np.float32))
    if bias and node.bias is not None:
        changed = replace(changed, bias=(node.bias * factors).astype(np.float32))
    return changed
