"""Operators with weights, and products of matrices."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from mico_runner.formats.tflite_file.activations import activation, finished
from mico_runner.formats.tflite_file.layout import IMAGE, Made, Use, arranged, natural, reads
from mico_runner.formats.tflite_file.windows import Window, window
from mico_runner.ops.capture import Refused


@reads("CONV_2D", "DEPTHWISE_CONV_2D")
def convolution(use: Use) -> Made:
    """Weights (out, kh, kw, in / groups), or (1, kh, kw, out) of a depthwise one, whose outputs of one channel stand together."""
    value, weight, act = use.value(), use.constant(1), activation(use)
    if value.rank != 4 or weight.ndim != 4:
        raise Refused(
            f"an input of shape {value.shape} and weights of shape {weight.shape}; both must have 4 dimensions"
        )
    channels = value.shape[-1]
    if use.operator.kind == "DEPTHWISE_CONV_2D":
        weight, groups = weight.transpose(3, 0, 1, 2), channels
    else:
        weight = weight.transpose(0, 3, 1, 2)
        groups = channels // weight.shape[1]
    dilation = (use.option("DilationHFactor"), use.option("DilationWFactor"))
    found = window(use, (weight.shape[2], weight.shape[3]), dilation)

    def function(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        x, padding = _padded(arranged(x, value.order, IMAGE), found)
        return finished(F.conv2d(x, weight, bias, found.stride, padding, dilation, groups), act)

    return Made(function, IMAGE, {"weight": _tensor(weight), **_bias(use, 2)})


@reads("TRANSPOSE_CONV")
def transposed_convolution(use: Use) -> Made:
    """Inputs: size of the output, weights (out, kh, kw, in), the image, biases. What lies beyond the output is cut off."""
    value, weight = use.value(2), use.constant(1).transpose(3, 0, 1, 2)
    stride = (use.option("StrideH"), use.option("StrideW"))
    size = use.made[0][1:3]
    act = activation(use)
    full = [(n - 1) * s + k for n, s, k in zip(value.shape[1:3], stride, weight.shape[2:], strict=True)]
    cut = [max(n - m, 0) for n, m in zip(full, size, strict=True)]
    behind = [max(m - n, 0) for n, m in zip(full, size, strict=True)]
    before = [n // 2 for n in cut]

    def function(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        x = arranged(x, value.order, IMAGE)
        x = F.conv_transpose2d(x, weight, bias, stride, before, behind)
        return finished(x[:, :, : size[0], : size[1]], act)

    return Made(function, IMAGE, {"weight": _tensor(weight), **_bias(use, 3)})


@reads("FULLY_CONNECTED")
def fully_connected(use: Use) -> Made:
    """Weights (out, in), over the last dimension or over the whole sample."""
    value, weight, act = use.value(), use.constant(1), activation(use)
    if use.option("WeightsFormat") or weight.ndim != 2:
        raise Refused("weights that are shuffled for a processor are not supported")
    keep, shape = value.shape[-1] == weight.shape[1], use.made[0][1:]

    def function(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        x = arranged(x, value.order, natural(value.rank))
        x = F.linear(x if keep else x.reshape(-1, weight.shape[1]), weight, bias)
        return finished(x if tuple(x.shape[1:]) == shape else x.reshape(-1, *shape), act)

    return Made(function, natural(len(use.made[0])), {"weight": _tensor(weight), **_bias(use, 2)})


@reads("BATCH_MATMUL")
def matrix_product(use: Use) -> Made:
    """(..., M, K) times (..., K, N), either of them transposed before; a constant second matrix is a layer's weights."""
    value, flip = use.value(), (use.option("AdjX"), use.option("AdjY"))
    order = natural(value.rank)
    second = use.inputs[1]
    if second is None or second.rank < 2 or value.rank < 3:
        raise Refused("it needs two matrices for each sample")
    made = natural(len(use.made[0]))

    def left(x: torch.Tensor) -> torch.Tensor:
        x = arranged(x, value.order, order)
        return x.transpose(-1, -2) if flip[0] else x

    if second.constant is not None:
        if second.constant.size != second.shape[-1] * second.shape[-2]:
            raise Refused("a constant matrix must be the same for all matrices of a sample")
        weight = second.constant.reshape(second.shape[-2:])
        return Made(
            lambda x, weight: F.linear(left(x), weight), made, {"weight": _tensor(weight if flip[1] else weight.T)}
        )

    def function(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        y = arranged(y, second.order, natural(second.rank))
        return left(x) @ (y.transpose(-1, -2) if flip[1] else y)

    return Made(function, made)


def _padded(x: torch.Tensor, found: Window) -> tuple[torch.Tensor, tuple[int, int]]:
    """With the zeros that torch cannot add itself, as there are more of them on one side."""
    if found.even is not None:
        return x, found.even
    return F.pad(x, found.around), (0, 0)


def _bias(use: Use, i: int) -> dict[str, torch.Tensor]:
    return {"bias": _tensor(use.constant(i).ravel())} if use.given(i) else {}


def _tensor(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(x, np.float32))
