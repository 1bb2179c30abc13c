"""Normalisations and softmax."""

from __future__ import annotations

from math import prod

import torch
import torch.nn.functional as F

from mico_runner.formats.onnx_file.network import OnnxNode
from mico_runner.formats.onnx_file.translation import refuse_more_outputs, translates, within

_EPSILON = 1e-5  # ONNX's default
_LEAST_NORM = 1e-12  # as torch's `normalize`: zeros stay zeros


@translates(
    "BatchNormalization",
    names=("", "weight", "bias", "running_mean", "running_var"),
    statistics=(3, 4),
    ignored=("momentum",),
)
def batch_norm(
    node: OnnxNode, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, mean: torch.Tensor, var: torch.Tensor
) -> torch.Tensor:
    refuse_more_outputs(node)
    if node.get("training_mode", 0) or not node.get("spatial", 1):
        raise ValueError("batch norm in training mode, or of each element, is not supported")
    return F.batch_norm(x, mean, var, weight, bias, False, 0.0, node.get("epsilon", _EPSILON))


@translates("InstanceNormalization")
def instance_norm(node: OnnxNode, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return F.group_norm(x, x.shape[1], weight, bias, node.get("epsilon", _EPSILON))


@translates("GroupNormalization", ignored=("stash_type",))
def group_norm(node: OnnxNode, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Before opset 21 there is one weight for each group."""
    groups = node.get("num_groups")
    if len(weight) == groups != x.shape[1]:
        each = x.shape[1] // groups
        weight, bias = (v.reshape(-1, 1).expand(-1, each).reshape(-1) for v in (weight, bias))
    return F.group_norm(x, groups, weight, bias, node.get("epsilon", _EPSILON))


@translates("LayerNormalization", ignored=("stash_type",))
def layer_norm(
    node: OnnxNode, x: torch.Tensor, weight: torch.Tensor | None = None, bias: torch.Tensor | None = None
) -> tuple[torch.Tensor, ...]:
    """Besides, mean and 1 / standard deviation where they are read."""
    shape = list(x.shape[within(node.get("axis", -1), x.ndim) :])
    eps = node.get("epsilon", _EPSILON)
    found = _layer_norm(x, shape, weight, bias, eps)
    if not any(node.outputs[1:]):
        return (found,)
    dims = list(range(x.ndim - len(shape), x.ndim))
    mean = torch.mean(x, dims, True)
    return found, mean, torch.rsqrt(torch.mean(torch.square(x - mean), dims, True) + eps)


def _layer_norm(
    x: torch.Tensor, shape: list[int], weight: torch.Tensor | None, bias: torch.Tensor | None, eps: float
) -> torch.Tensor:
    if all(v is None or list(v.shape) == shape for v in (weight, bias)):
        return F.layer_norm(x, shape, weight, bias, eps)
    return _scaled(F.layer_norm(x, shape, None, None, eps), weight, bias)


@translates("RMSNormalization", "SimplifiedLayerNormalization", ignored=("stash_type",))
def rms_norm(node: OnnxNode, x: torch.Tensor, weight: torch.Tensor | None = None) -> torch.Tensor:
    refuse_more_outputs(node)
    shape = list(x.shape[within(node.get("axis", -1), x.ndim) :])
    eps = node.get("epsilon", _EPSILON)
    if weight is None or list(weight.shape) == shape:
        return F.rms_norm(x, shape, weight, eps)
    return _scaled(F.rms_norm(x, shape, None, eps), weight, None)


def _scaled(x: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None) -> torch.Tensor:
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


@translates("MeanVarianceNormalization")
def mean_variance(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    """Over the axes, all but the channels by default; the batch cannot be one of them."""
    axes = [within(a, x.ndim) for a in node.get("axes") or (0, 2, 3)]
    if 0 in axes:
        raise ValueError("a norm over the batch is not supported")
    centred = x - torch.mean(x, axes, True)
    return centred / torch.sqrt(torch.mean(torch.square(centred), axes, True))


@translates("LpNormalization")
def lp_norm(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    order, axis = node.get("p", 2), within(node.get("axis", -1), x.ndim)
    if order not in (1, 2):
        raise ValueError(f"a norm of order {order}; allowed: 1, 2")
    norm = torch.sum(torch.abs(x), axis, True) if order == 1 else torch.sqrt(torch.sum(torch.square(x), axis, True))
    return x / torch.clamp(norm, min=_LEAST_NORM)


@translates("Softmax")
def softmax(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    if node.opset >= 13:
        return torch.softmax(x, within(node.get("axis", -1), x.ndim))
    return torch.softmax(_matrix(node, x), -1).reshape(x.shape)


@translates("LogSoftmax")
def log_softmax(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    if node.opset >= 13:
        return torch.log_softmax(x, within(node.get("axis", -1), x.ndim))
    return torch.log_softmax(_matrix(node, x), -1).reshape(x.shape)


def _matrix(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    """Before opset 13, what lies behind the axis is one dimension."""
    axis = within(node.get("axis", 1), x.ndim)
    return x if axis == x.ndim - 1 else x.reshape(*x.shape[:axis], prod(x.shape[axis:]))
