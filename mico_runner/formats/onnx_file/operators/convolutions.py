"""Convolutions and transposed convolutions."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from mico_runner.formats.onnx_file.network import OnnxNode
from mico_runner.formats.onnx_file.operators.moves import pad_with
from mico_runner.formats.onnx_file.translation import translates

_CONV: dict[int, Any] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED: dict[int, Any] = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}

Pairs = list[tuple[int, int]]


def window(node: OnnxNode, rank: int) -> tuple[list[int], list[int], list[int]]:
    """Kernel, strides and dilations; the kernel is empty where the weights say it."""
    ones = [1] * rank
    found = (
        list(node.get("kernel_shape") or ()),
        list(node.get("strides") or ones),
        list(node.get("dilations") or ones),
    )
    if any(len(values) not in (0, rank) for values in found):
        raise ValueError(f"its kernel, strides or dilations are not {rank}, as the dimensions of its input")
    return found


def pads(node: OnnxNode, sizes: list[int], kernel: list[int], strides: list[int], dilations: list[int]) -> Pairs:
    """Before and behind each dimension: as given, or so that the output is the input divided by the stride."""
    rank, mode = len(sizes), node.get("auto_pad", "NOTSET")
    if mode in ("NOTSET", ""):
        given = list(node.get("pads") or [0] * 2 * rank)
        if len(given) != 2 * rank:
            raise ValueError(f"{len(given)} pads for {rank} dimensions")
        return list(zip(given[:rank], given[rank:], strict=True))
    if mode == "VALID":
        return [(0, 0)] * rank
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        raise ValueError(f"auto_pad {mode!r}; allowed: NOTSET, VALID, SAME_UPPER, SAME_LOWER")
    found = []
    for n, k, s, d in zip(sizes, kernel, strides, dilations, strict=True):
        total = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
        small, large = total // 2, total - total // 2
        found.append((small, large) if mode == "SAME_UPPER" else (large, small))
    return found


@translates("Conv", "com.microsoft.FusedConv", ignored=("pads",))
def conv(node: OnnxNode, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    rank = x.ndim - 2
    if rank not in _CONV:
        raise ValueError(f"a convolution of a tensor of {x.ndim} dimensions")
    _, strides, dilations = window(node, rank)
    around = pads(node, list(x.shape[2:]), list(weight.shape[2:]), strides, dilations)
    padding: Any = [low for low, _ in around]
    if any(low != high for low, high in around):
        x, padding = pad_with(x, dict(enumerate(around, start=2)), 0.0), 0
    found: torch.Tensor = _CONV[rank](x, weight, bias, strides, padding, dilations, node.get("group", 1))
    return _activated(node, found)


def _activated(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    """onnxruntime's fused convolutions have an activation."""
    kind = node.get("activation", "") if node.kind == "FusedConv" else ""
    if kind not in ("", "Relu"):
        raise ValueError(f"a fused activation {kind!r}; allowed: Relu")
    return F.relu(x) if kind else x


@translates("ConvTranspose", ignored=("pads",))
def conv_transpose(
    node: OnnxNode, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None
) -> torch.Tensor:
    """Uneven pads are cut off of an output without any."""
    rank = x.ndim - 2
    if rank not in _TRANSPOSED:
        raise ValueError(f"a transposed convolution of a tensor of {x.ndim} dimensions")
    _, strides, dilations = window(node, rank)
    more = list(node.get("output_padding") or [0] * rank)
    around = _crops(node, list(x.shape[2:]), list(weight.shape[2:]), strides, dilations, more)
    group = node.get("group", 1)
    even = all(low == high >= 0 for low, high in around) and all(
        m < max(s, d) for m, s, d in zip(more, strides, dilations, strict=True)
    )
    if even:
        crop = [low for low, _ in around]
        found: torch.Tensor = _TRANSPOSED[rank](x, weight, bias, strides, crop, more, group, dilations)
        return found
    found = _TRANSPOSED[rank](x, weight, bias, strides, 0, 0, group, dilations)
    for axis, ((low, high), extra) in enumerate(zip(around, more, strict=True), start=2):
        # What lies behind the last tap is the bias alone.
        if extra > high or low < 0:
            raise ValueError("its output is larger than the transposed convolution makes it: not supported")
        found = found.narrow(axis, low, found.shape[axis] - low - (high - extra))
    return found


def _crops(
    node: OnnxNode, sizes: list[int], kernel: list[int], strides: list[int], dilations: list[int], more: list[int]
) -> Pairs:
    """How much of the whole output is cut off before and behind each dimension; what it lacks is added to `more`."""
    mode, shape = node.get("auto_pad", "NOTSET"), list(node.get("output_shape") or ())
    if mode not in ("SAME_UPPER", "SAME_LOWER") and not shape:
        return pads(node, sizes, kernel, strides, dilations)
    wanted = shape[-len(sizes) :] if shape else [n * s for n, s in zip(sizes, strides, strict=True)]
    found: Pairs = []
    for n, k, s, d, extra, out in zip(sizes, kernel, strides, dilations, more, wanted, strict=True):
        total = s * (n - 1) + extra + d * (k - 1) + 1 - out
        if total < 0:  # zeros behind the whole output
            more[len(found)], total = extra - total, 0
        small, large = total // 2, total - total // 2
        found.append((small, large) if mode == "SAME_UPPER" else (large, small))
    return found
