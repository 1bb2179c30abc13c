"""Batch norms become weights: of the layer before, or of a depthwise 1 x 1 convolution of their own.

Lowering leaves nodes `batch_norm` with the attributes mean, factor and beta, float64 (C,) each, for the first dimension of their
input: y = (x - mean) * factor + beta. No such node is left afterwards.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from mico_runner.graph.builder import unique
from mico_runner.graph.ir import Node, weight_of
from mico_runner.graph.passes import Draft

POINTWISE = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1)}


def fold_batch_norms(draft: Draft) -> None:
    """Fold each batch norm into the layer whose output it alone reads; any other becomes a convolution. Run `drop_unused` before."""
    while (node := next((n for n in draft.nodes if n.op == "batch_norm"), None)) is not None:
        (tensor,) = node.inputs
        layer = next((n for n in draft.nodes if n.output == tensor), None)
        if layer is not None and _outputs_are_channels(layer, draft) and draft.readers()[tensor] == 1:
            _fold(draft, layer, node)
        else:
            _convolution(draft, node)


def _outputs_are_channels(layer: Node, draft: Draft) -> bool:
    """Whether row i of the layer's weights makes element i of its output's first dimension: not so for a linear layer over tokens."""
    return layer.op == "conv2d" or (layer.op == "linear" and len(draft.shapes[layer.output]) == 1)


def _fold(draft: Draft, layer: Node, norm: Node) -> None:
    """w' = w * factor, b' = (b - mean) * factor + beta. The layer keeps the name of its tensor, which holds other values now."""
    weight, bias = _scaled(weight_of(layer), layer.bias, norm)
    folded = replace(layer, weight=weight, bias=bias)
    draft.nodes = [folded if n is layer else n for n in draft.nodes if n is not norm]
    draft.read_instead(norm.output, layer.output)
    draft.origin.pop(layer.output, None)
    if norm.output in draft.origin:
        draft.origin[layer.output] = draft.origin.pop(norm.output)


def _convolution(draft: Draft, norm: Node) -> None:
    """A depthwise 1 x 1 convolution with the batch norm's name; tensors that are no images are reshaped to (C, 1, L) for it."""
    shape = draft.shapes[norm.output]
    weight, bias = _scaled(np.ones((shape[0], 1, 1, 1), np.float32), None, norm)
    conv = replace(norm, op="conv2d", attrs=POINTWISE | {"groups": shape[0]}, weight=weight, bias=bias)
    new = [conv]
    if len(shape) != 3:
        image = (shape[0], 1, prod(shape[1:]))
        source = next((n.inputs for n in draft.nodes if (n.op, n.output) == ("reshape", norm.inputs[0])), norm.inputs)
        before, after = (unique(f"{norm.name}.{end}", draft.shapes) for end in ("in", "out"))
        draft.read_instead(norm.output, after)
        draft.shapes |= {before: image, norm.output: image, after: shape}
        new = [
            Node(before, "reshape", source, before, {"shape": image}, source=norm.source),
            replace(conv, inputs=(before,)),
            Node(after, "reshape", (norm.output,), after, {"shape": shape}, source=norm.source),
        ]
    at = draft.nodes.index(norm)
    draft.nodes[at : at + 1] = new


def _scaled(weight: np.ndarray, bias: np.ndarray | None, norm: Node) -> tuple[np.ndarray, np.ndarray]:
    mean, factor, beta = (norm.attrs[key] for key in ("mean", "factor", "beta"))
    bias = np.zeros(len(mean)) if bias is None else bias.astype(np.float64)
    scaled = weight.astype(np.float64) * factor.reshape(-1, *[1] * (weight.ndim - 1))
    with np.errstate(over="ignore"):  # infinities are an error of their own
        return scaled.astype(np.float32), ((bias - mean) * factor + beta).astype(np.float32)
