"""batch_norm: becomes weights, of the layer before or of a depthwise 1 x 1 convolution of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod

import numpy as np
import torch

from mico_runner.ops import operator, register
from mico_runner.ops.affine import emit_affine
from mico_runner.ops.base import Operator
from mico_runner.ops.capture import Call, Refused, as_doubles, unique
from mico_runner.ops.conv2d import pointwise
from mico_runner.ops.draft import Draft
from mico_runner.ops.folding import fold, scaled
from mico_runner.ops.node import Node
from mico_runner.ops.weighted import Weighted

_STORED = "_native_batch_norm_legit_no_training.default"
_OF_THE_BATCH = (
    "batch_norm.default",
    "_native_batch_norm_legit.no_stats",
    "_native_batch_norm_legit_functional.default",
)


@register("batch_norm")
class BatchNorm(Operator):
    """y = (x - mean) * factor + beta for each channel, factor = gamma / sqrt(var + eps).

    Attributes of a captured node: mean, factor and beta, float64 (C,) each, for the first dimension of its input. No such node is left
    in a graph.
    """

    ATEN = (_STORED, *_OF_THE_BATCH)
    ATTRS = ("mean", "factor", "beta")
    NO_KERNEL = "it becomes part of a convolution"

    def capture(self, call: Call) -> list[str]:
        """Which layer it can be folded into is open until all readers of that layer are known.

        It is put before the reshape that made its input where that keeps the channels apart, so that it stands next to the layer.
        """
        if not str(call.node.target).endswith(_STORED):
            raise Refused(
                "it normalises with the statistics of the batch at hand (training=True, track_running_stats=False or an instance"
                " norm); only stored statistics are supported"
            )
        tensor = call.input("input")
        given = [call[key] for key in ("running_mean", "running_var", "weight", "bias")]
        if not all(isinstance(value, torch.Tensor) for value in given if value is not None):
            raise Refused("the statistics of a batch norm must be stored, not computed from the input")
        mean, var = as_doubles(call["running_mean"]), as_doubles(call["running_var"])
        gamma = np.ones_like(mean) if call["weight"] is None else as_doubles(call["weight"])
        beta = np.zeros_like(mean) if call["bias"] is None else as_doubles(call["bias"])
        with np.errstate(all="ignore"):
            factor = gamma / np.sqrt(var + call["eps"])
        if not np.isfinite(factor).all():
            at = int(np.flatnonzero(~np.isfinite(factor))[0])
            raise Refused(
                f"the factor gamma / sqrt(variance + eps) of channel {at} is not finite: variance {var[at]:g}, eps {call['eps']:g}"
            )
        if call.is_merged:  # the channels are the second dimension, behind what the batch is part of
            each = (-1, *[1] * (call.rank(tensor) - 2))
            return [emit_affine(call, tensor, factor.reshape(each), (beta - mean * factor).reshape(each))]
        values, shape = {"mean": mean, "factor": factor, "beta": beta}, call.builder.shapes[tensor]
        root = call.builder.root(tensor)
        before, channels = call.builder.producer.get(root), call.builder.shapes[root][0]
        if channels % len(mean) == 0 and (channels == len(mean) or (before is not None and before.weight is not None)):
            tensor, values = root, {key: value.repeat(channels // len(mean)) for key, value in values.items()}
        output = call.emit(self.name, [tensor], call.builder.shapes[tensor], attrs=values)
        return [call.reshape(output, shape)]

    def untrained(self, constants: Mapping[str, torch.Tensor]) -> dict[str, tuple[float, float]]:
        mean, var = constants.get("running_mean"), constants.get("running_var")
        if mean is None or var is None or mean.any() or (var != 1).any():
            return {}
        limits = {"running_mean": (-1.0, 1.0), "running_var": (0.5, 2.0), "weight": (-2.0, 2.0), "bias": (-2.0, 2.0)}
        return {key: pair for key, pair in limits.items() if key in constants}

    def rewrite(self, draft: Draft) -> bool:
        """Fold one batch norm into the layer whose output it alone reads, or make it a convolution."""
        node = next((n for n in draft.nodes if n.op == self.name), None)
        if node is None:
            return False
        (tensor,) = node.inputs
        layer = next((n for n in draft.nodes if n.output == tensor), None)
        if layer is not None and _outputs_are_channels(layer, draft) and draft.readers()[tensor] == 1:
            fold(draft, layer, node, *_values(node))
        else:
            _convolution(draft, node)
        return True


def _outputs_are_channels(layer: Node, draft: Draft) -> bool:
    """Whether row i of the layer's weights makes element i of its output's first dimension: not so for a linear layer over tokens."""
    made = operator(layer.op)
    return isinstance(made, Weighted) and made.channel_axis(draft.shapes[layer.output]) == 0


def _convolution(draft: Draft, norm: Node) -> None:
    """A depthwise 1 x 1 convolution with the batch norm's name; tensors that are no images are reshaped to (C, 1, L) for it."""
    shape = draft.shapes[norm.output]
    conv = pointwise(norm, *scaled(np.ones((shape[0], 1, 1, 1), np.float32), None, *_values(norm)))
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


def _values(norm: Node) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return norm.attrs["mean"], norm.attrs["factor"], norm.attrs["beta"]
