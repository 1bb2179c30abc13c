"""Pools over windows and over whole images."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from mico_runner.formats.onnx_file.network import OnnxNode
from mico_runner.formats.onnx_file.operators.convolutions import Pairs, pads, window
from mico_runner.formats.onnx_file.operators.moves import pad_with
from mico_runner.formats.onnx_file.picking import pick
from mico_runner.formats.onnx_file.translation import refuse_more_outputs, tensor_like, translates

_MAX: dict[int, Any] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_AVERAGE: dict[int, Any] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def _windows(node: OnnxNode, x: torch.Tensor) -> tuple[list[int], list[int], list[int], Pairs, list[int]]:
    """Kernel, strides, dilations, pads and output sizes."""
    rank = x.ndim - 2
    if rank not in _MAX:
        raise ValueError(f"a pool over a tensor of {x.ndim} dimensions")
    kernel, strides, dilations = window(node, rank)
    around = pads(node, list(x.shape[2:]), kernel, strides, dilations)
    out = []
    for n, k, s, d, (low, high) in zip(x.shape[2:], kernel, strides, dilations, around, strict=True):
        room = n + low + high - d * (k - 1) - 1
        count = (-(-room // s) if node.get("ceil_mode", 0) else room // s) + 1
        out.append(
            count - (node.get("ceil_mode", 0) and (count - 1) * s >= n + low)
        )  # no window begins behind the input
    return kernel, strides, dilations, around, out


@translates("MaxPool", ignored=("pads", "storage_order"))
def max_pool(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    """Uneven pads are windows that overhang the input where they can be; else its edge is repeated, which changes no maximum."""
    refuse_more_outputs(node)
    kernel, strides, dilations, around, out = _windows(node, x)
    pool, lows = _MAX[x.ndim - 2], [low for low, _ in around]
    for ceil in (False, True):
        if 2 * max(lows) <= min(kernel) and _sizes(x, kernel, strides, dilations, lows, ceil) == out:
            found: torch.Tensor = pool(x, kernel, strides, lows, dilations, ceil)
            return found
    if any(d > 1 for d in dilations):
        raise ValueError("dilated windows with uneven padding are not supported")
    for axis, ((low, _), n, k, s) in enumerate(zip(around, out, kernel, strides, strict=True), start=2):
        size = x.shape[axis]
        x = pick(x, axis, np.arange(-low, (n - 1) * s + k - low).clip(0, size - 1))
    whole: torch.Tensor = pool(x, kernel, strides)
    return whole


def _sizes(
    x: torch.Tensor, kernel: list[int], strides: list[int], dilations: list[int], lows: list[int], ceil: bool
) -> list[int]:
    """Output sizes of torch's pool with these pads on both sides."""
    found = []
    for n, k, s, d, p in zip(x.shape[2:], kernel, strides, dilations, lows, strict=True):
        room = n + 2 * p - d * (k - 1) - 1
        count = (-(-room // s) if ceil else room // s) + 1
        found.append(count - (ceil and (count - 1) * s >= n + p))
    return found


@translates("AveragePool", ignored=("pads",))
def average_pool(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    """Torch's where it means the same; else averages over zeros, times taps of a window / those that count."""
    kernel, strides, dilations, around, out = _windows(node, x)
    if any(d > 1 for d in dilations):
        raise ValueError("dilated windows are not supported")
    pool, lows, count_pads = _AVERAGE[x.ndim - 2], [low for low, _ in around], bool(node.get("count_include_pad", 0))
    even = all(low == high for low, high in around) and 2 * max(lows) <= min(kernel)
    if even and _sizes(x, kernel, strides, dilations, lows, ceil=False) == out:
        found: torch.Tensor = pool(x, kernel, strides, lows, False, count_pads)
        return found
    ends = [(n - 1) * s + k for n, s, k in zip(out, strides, kernel, strict=True)]  # of the last windows
    ones = np.ones([*x.shape[2:]], np.float64)
    inside = np.pad(ones, around, constant_values=float(count_pads))
    grown = [(low, max(end - low - n, 0)) for (low, _), end, n in zip(around, ends, x.shape[2:], strict=True)]
    inside = np.pad(inside, [(0, max(end - n, 0)) for end, n in zip(ends, inside.shape, strict=True)])
    inside = inside[tuple(slice(0, end) for end in ends)]
    windows = np.lib.stride_tricks.sliding_window_view(inside, kernel)[tuple(slice(None, None, s) for s in strides)]
    share = windows.mean(tuple(range(-len(kernel), 0)))
    x = pad_with(x, dict(enumerate(grown, start=2)), 0.0)
    averages: torch.Tensor = pool(x, kernel, strides)
    return averages * tensor_like(1 / share, x)


@translates("LpPool", ignored=("pads",))
def lp_pool(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    """The root of the sum of powers over zeros as padding."""
    order = node.get("p", 2)
    kernel, strides, dilations, around, out = _windows(node, x)
    if any(d > 1 for d in dilations):
        raise ValueError("dilated windows are not supported")
    ends = [(n - 1) * s + k for n, s, k in zip(out, strides, kernel, strict=True)]
    grown = [(low, max(end - low - n, 0)) for (low, _), end, n in zip(around, ends, x.shape[2:], strict=True)]
    powers = torch.square(x) if order == 2 else torch.abs(x) if order == 1 else torch.pow(torch.abs(x), order)
    x = pad_with(powers, dict(enumerate(grown, start=2)), 0.0)
    total: torch.Tensor = _AVERAGE[x.ndim - 2](x, kernel, strides) * float(np.prod(kernel))
    return total if order == 1 else torch.sqrt(total) if order == 2 else torch.pow(total, 1 / order)


@translates("GlobalAveragePool")
def global_average_pool(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    return torch.mean(x, list(range(2, x.ndim)), True)


@translates("GlobalMaxPool")
def global_max_pool(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    if x.ndim - 2 not in _MAX:
        raise ValueError(f"a pool over a tensor of {x.ndim} dimensions")
    found: torch.Tensor = _MAX[x.ndim - 2](x, list(x.shape[2:]))
    return found


@translates("LRN")
def local_response_norm(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    """x / (bias + alpha * the mean of squares of the channels around)^beta."""
    n, c, size = x.shape[0], x.shape[1], node.get("size")
    rows = torch.square(x).reshape(n, 1, c, -1)
    rows = pad_with(rows, {2: ((size - 1) // 2, size // 2)}, 0.0)
    mean = F.avg_pool2d(rows, (size, 1), 1).reshape(x.shape)
    scale = mean * node.get("alpha", 0.0001) + node.get("bias", 1.0)
    return x * torch.pow(scale, -node.get("beta", 0.75))
