"""Operators that move elements, and those that only change the shape."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from mico_runner.formats.onnx_file.network import OnnxNode
from mico_runner.formats.onnx_file.picking import pick
from mico_runner.formats.onnx_file.translation import axes_of, number, tensor_like, translates, whole, within


@translates("Reshape", arguments=(1,))
def reshape(node: OnnxNode, x: torch.Tensor, shape: np.ndarray) -> torch.Tensor:
    sizes = whole(shape)
    if not node.get("allowzero", 0):
        sizes = [x.shape[i] if n == 0 else n for i, n in enumerate(sizes)]
    return x.reshape(sizes)


@translates("Flatten")
def flatten(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    """Two dimensions; before axis 0 there is the batch of one of the file, which stays in front."""
    axis = node.get("axis", 1)
    axis = axis + x.ndim if axis < 0 else axis
    if axis <= 1:
        return x.flatten(1)
    return x.reshape(-1, prod(x.shape[axis:]))


@translates("Squeeze", arguments=(1,))
def squeeze(node: OnnxNode, x: torch.Tensor, axes: np.ndarray | None = None) -> torch.Tensor:
    found = axes_of(node, axes, x.ndim)
    return x.squeeze(found) if found else x


@translates("Unsqueeze", arguments=(1,))
def unsqueeze(node: OnnxNode, x: torch.Tensor, axes: np.ndarray | None = None) -> torch.Tensor:
    given = whole(axes) if axes is not None else list(node.get("axes") or ())
    for axis in sorted(within(a, x.ndim + len(given)) for a in given):
        x = x.unsqueeze(axis)
    return x


@translates("Transpose")
def transpose(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    return x.permute(node.get("perm") or list(range(x.ndim))[::-1])


@translates("Expand", arguments=(1,))
def expand(node: OnnxNode, x: torch.Tensor, shape: np.ndarray) -> torch.Tensor:
    return x.expand(np.broadcast_shapes(tuple(x.shape), tuple(whole(shape))))


@translates("Tile", arguments=(1,))
def tile(node: OnnxNode, x: torch.Tensor, repeats: np.ndarray) -> torch.Tensor:
    for axis, count in enumerate(whole(repeats)):
        x = torch.cat([x] * count, axis) if count != 1 else x
    return x


@translates("Concat", names=())
def concat(node: OnnxNode, *values: torch.Tensor) -> torch.Tensor:
    """A constant whose batch is one, as a class token, is repeated for the samples."""
    axis = within(node.get("axis", 1), values[0].ndim)
    sizes = [max(value.shape[i] for value in values) for i in range(values[0].ndim)]
    wanted = [(*sizes[:axis], value.shape[axis], *sizes[axis + 1 :]) for value in values]
    parts = [v if tuple(v.shape) == shape else v.expand(shape) for v, shape in zip(values, wanted, strict=True)]
    return torch.cat(parts, axis) if len(parts) > 1 else parts[0]


@translates("Split", arguments=(1,), ignored=("split",))
def split(node: OnnxNode, x: torch.Tensor, sizes: np.ndarray | None = None) -> tuple[torch.Tensor, ...]:
    """Parts of equal size where none are given, the last one smaller."""
    axis = within(node.get("axis", 0), x.ndim)
    given = whole(sizes) if sizes is not None else list(node.get("split") or ())
    count = node.get("num_outputs", len(node.outputs))
    return torch.split(x, given or -(-x.shape[axis] // count), axis)


@translates("Slice", arguments=(1, 2, 3, 4))
def slice_(node: OnnxNode, x: torch.Tensor, *given: np.ndarray | None) -> torch.Tensor:
    """Starts, ends, axes and steps are attributes before opset 10."""
    names = ("starts", "ends", "axes", "steps")
    found = [whole(value) for value in given] if given else [list(node.get(name) or ()) for name in names]
    found += [[]] * (4 - len(found))
    starts, ends, axes, steps = found
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis = within(axes[i], x.ndim) if axes else i
        step = steps[i] if steps else 1
        x = pick(x, axis, np.arange(x.shape[axis])[_range(start, end, step, x.shape[axis])])
    return x


def _range(start: int, end: int, step: int, length: int) -> slice:
    """Python's slice; an end that lies before the front counts the first element in."""
    before = step < 0 and end < -length
    return slice(start, None if before else end, step)


@translates("Gather", arguments=(1,), computed=(1,), names=("table",))
def gather(node: OnnxNode, x: torch.Tensor, indices: np.ndarray | torch.Tensor) -> torch.Tensor:
    """An embedding where the indices are computed."""
    axis = within(node.get("axis", 0), x.ndim)
    if isinstance(indices, torch.Tensor):
        if not isinstance(x, torch.nn.Parameter) or x.ndim != 2 or axis != 0:
            raise ValueError("computed indices choose rows of a constant matrix alone")
        return F.embedding(indices, x)
    if indices.ndim == 0:
        return x.select(axis, int(indices))
    found = pick(x, axis, indices.ravel() % x.shape[axis])
    return found if indices.ndim == 1 else found.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


@translates("Trilu", arguments=(1,))
def trilu(node: OnnxNode, x: torch.Tensor, diagonal: np.ndarray | None = None) -> torch.Tensor:
    keep = np.triu if node.get("upper", 1) else np.tril
    return x * tensor_like(keep(np.ones(tuple(x.shape[-2:]), np.float32), int(number(diagonal, 0))), x)


@translates("DepthToSpace")
def depth_to_space(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    block = node.get("blocksize")
    if node.get("mode", "DCR") == "CRD":
        return F.pixel_shuffle(x, block)
    n, c, h, w = x.shape
    x = x.reshape(n, block, block, c // block**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return x.reshape(n, c // block**2, h * block, w * block)


@translates("SpaceToDepth")
def space_to_depth(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    block = node.get("blocksize")
    if node.get("mode", "DCR") == "CRD":
        return F.pixel_unshuffle(x, block)
    n, c, h, w = x.shape
    x = x.reshape(n, c, h // block, block, w // block, block).permute(0, 3, 5, 1, 2, 4)
    return x.reshape(n, c * block**2, h // block, w // block)


FILL = "constant"  # the mode of a Pad that repeats no elements


@translates("Pad", arguments=(1, 2, 3))
def pad(
    node: OnnxNode,
    x: torch.Tensor,
    pads: np.ndarray | None = None,
    value: np.ndarray | None = None,
    axes: np.ndarray | None = None,
) -> torch.Tensor:
    """Pads are attributes before opset 11; negative ones crop."""
    around = whole(pads) if pads is not None else list(node.get("pads"))
    dims = axes_of(node, axes, x.ndim) or list(range(x.ndim))
    if len(around) != 2 * len(dims):
        raise ValueError(f"{len(around)} pads for {len(dims)} dimensions")
    pairs = dict(zip(dims, zip(around[: len(dims)], around[len(dims) :], strict=True), strict=True))
    mode = node.get("mode", FILL)
    for axis, (low, high) in pairs.items():
        if low < 0 or high < 0:
            x = x.narrow(axis, max(-low, 0), x.shape[axis] - max(-low, 0) - max(-high, 0))
    grown = {axis: (max(low, 0), max(high, 0)) for axis, (low, high) in pairs.items()}
    if mode == FILL:
        return pad_with(x, grown, number(value, node.get("value", 0.0)))
    for axis, pair in grown.items():
        if any(pair):
            x = pick(x, axis, _extended(x.shape[axis], pair, mode))
    return x


def pad_with(x: torch.Tensor, pairs: dict[int, Any], value: float) -> torch.Tensor:
    """Constants around a tensor: elements before and behind, by axis."""
    around = [n for axis in range(x.ndim - 1, -1, -1) for n in pairs.get(axis, (0, 0))]
    while around and around[-2:] == [0, 0]:
        del around[-2:]
    if not around:
        return x
    return F.pad(x, around) if value == 0 else F.pad(x - value, around) + value


def _extended(length: int, pair: tuple[int, int], mode: str) -> np.ndarray:
    modes = {"reflect": "reflect", "edge": "edge", "wrap": "wrap"}
    if mode not in modes:
        raise ValueError(f"padding mode {mode!r}; allowed: {FILL}, {', '.join(modes)}")
    found: np.ndarray = np.pad(np.arange(length), pair, mode=modes[mode])  # type: ignore[call-overload]
    return found
