"""A factor and a term of each output channel become part of a layer's weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mico_runner.ops.draft import Draft
from mico_runner.ops.node import Node, weight_of


def fold(draft: Draft, layer: Node, node: Node, mean: np.ndarray, factor: np.ndarray, term: np.ndarray) -> None:
    """Let the layer compute what `node` makes of its output y, (y - mean) * factor + term, and drop the node.

    The layer keeps the name of its tensor, which holds other values now.
    """
    weight, bias = scaled(weight_of(layer), layer.bias, mean, factor, term)
    folded = replace(layer, weight=weight, bias=bias)
    draft.nodes = [folded if n is layer else n for n in draft.nodes if n is not node]
    draft.read_instead(node.output, layer.output)
    draft.origin.pop(layer.output, None)
    if node.output in draft.origin:
        draft.origin[layer.output] = draft.origin.pop(node.output)


def scaled(
    weight: np.ndarray, bias: np.ndarray | None, mean: np.ndarray, factor: np.ndarray, term: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """w' = w * factor, b' = (b - mean) * factor + term."""
    bias = np.zeros(len(mean)) if bias is None else bias.astype(np.float64)
    made = weight.astype(np.float64) * factor.reshape(-1, *[1] * (weight.ndim - 1))
    with np.errstate(over="ignore"):  # infinities are an error of their own
        return made.astype(np.float32), ((bias - mean) * factor + term).astype(np.float32)
