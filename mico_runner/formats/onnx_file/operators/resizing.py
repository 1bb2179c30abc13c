"""Resize and Upsample. ONNX knows more ways to choose places than torch: each axis is tried on numbers and compared."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from mico_runner.formats.onnx_file.constants import compute
from mico_runner.formats.onnx_file.model_file import package
from mico_runner.formats.onnx_file.network import OnnxNode
from mico_runner.formats.onnx_file.picking import pick
from mico_runner.formats.onnx_file.translation import translates, whole, within

CLOSE = 1e-5  # of values between 0 and 1
SEED = 0
CUBIC = -0.75  # torch's coefficient
# Ways of torch's that have kernels: mode and align_corners.
_TORCH: tuple[tuple[str, bool | None], ...] = (
    *(("nearest", None), ("bilinear", False), ("bilinear", True), ("bicubic", False), ("bicubic", True)),
)

Array = np.ndarray | None


_READ_BY_AXIS = (
    *("mode", "nearest_mode", "cubic_coeff_a", "exclude_outside", "extrapolation_value", "antialias"),
    *("keep_aspect_ratio_policy", "scales"),
)


@translates("Upsample", arguments=(1,), ignored=_READ_BY_AXIS)
def upsample(node: OnnxNode, x: torch.Tensor, scales: Array = None) -> torch.Tensor:
    """Scales are an attribute before opset 9."""
    given = scales if scales is not None else np.array(node.get("scales"), np.float32)
    return _resized(node, x, given, None, list(range(x.ndim)))


@translates("Resize", arguments=(1, 2, 3), ignored=_READ_BY_AXIS)
def resize(node: OnnxNode, x: torch.Tensor, *given: Array) -> torch.Tensor:
    """Inputs are X and scales in opset 10; X, region of interest, scales and sizes later."""
    found = [*given, None, None, None]
    scales, sizes = (found[0], None) if node.opset < 11 else (found[1], found[2])
    if node.get("coordinate_transformation_mode") == "tf_crop_and_resize":
        raise ValueError("a region of interest is not supported")
    axes = [within(a, x.ndim) for a in node.get("axes") or range(x.ndim)]
    scales = None if scales is None or not scales.size else scales
    return _resized(node, x, scales, None if sizes is None or not sizes.size else sizes, axes)


def _resized(node: OnnxNode, x: torch.Tensor, scales: Array, sizes: Array, axes: list[int]) -> torch.Tensor:
    """Axis by axis; both of an image at once where torch does the same."""
    if sizes is not None:
        wanted = whole(sizes)
        factors = [n / x.shape[a] for n, a in zip(wanted, axes, strict=True)]
        policy = node.get("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            one = (min if policy == "not_larger" else max)(f for f, a in zip(factors, axes, strict=True) if a)
            factors = [one] * len(axes)
            wanted = [int(one * x.shape[a] + 0.5) for a in axes]
    elif scales is not None:
        factors = [float(f) for f in np.asarray(scales, np.float32)]
        wanted = [int(np.floor(np.float32(f) * x.shape[a])) for f, a in zip(factors, axes, strict=True)]
    else:
        raise ValueError("it has neither scales nor sizes")
    changed = {}
    for axis, factor, size in zip(axes, factors, wanted, strict=True):
        if axis == 0 or (size == x.shape[axis] and factor == 1):
            continue  # of the batch, a file for one sample says nothing
        changed[axis] = _Axis(node, x.shape[axis], size, factor if sizes is None else None)
    if not changed:
        return x
    if (found := _by_torch(x, changed)) is not None:
        return found
    for axis, change in changed.items():
        x = change.apply(x, axis)
    return x


class _Axis:
    """What one axis becomes, as ONNX's reference has it."""

    def __init__(self, node: OnnxNode, length: int, size: int, factor: float | None) -> None:
        self.length, self.size = length, size
        self._node, self._factor = node, factor
        self.values = np.random.default_rng(SEED).random(length, np.float32)
        self.right = self._reference(self.values)

    def _reference(self, values: np.ndarray) -> np.ndarray:
        """The reference's output (size,) for a vector (length,)."""
        kept = {
            k: v for k, v in self._node.attributes.items() if k not in ("axes", "keep_aspect_ratio_policy", "scales")
        }
        if self._node.kind == "Upsample" or self._node.opset < 11:  # before there were ways to choose from
            kept = {
                "mode": kept.get("mode", "nearest"),
                "coordinate_transformation_mode": "asymmetric",
                "nearest_mode": "floor",
            }
        by_scale = self._factor is not None
        node = package().helper.make_node(
            "Resize", ["x", "", "scales" if by_scale else "", "" if by_scale else "sizes"], ["y"], **kept
        )
        scales = np.array([self._factor], np.float32) if by_scale else None
        sizes = None if by_scale else np.array([self.size], np.int64)
        return compute(node, [values, None, scales, sizes], max(self._node.opset, 18), self._node.place)[0]

    def is_torch(self, mode: str, align: bool | None) -> bool:
        if self.right.size != self.size:
            return False
        return bool(np.abs(_by_formula(self.values, self.size, mode, bool(align)) - self.right).max() < CLOSE)

    def apply(self, x: torch.Tensor, axis: int) -> torch.Tensor:
        """As a choice of elements, or as a product with the matrix of weights of two neighbours."""
        if self._node.get("mode", "nearest") == "nearest":
            index = self._reference(np.arange(self.length, dtype=np.float32))
            return pick(x, axis, np.rint(index).astype(int))
        matrix = self._matrix()
        if np.abs(matrix @ self.values - self.right).max() > CLOSE:
            raise ValueError(f"this way to choose places is not supported for mode {self._node.get('mode')!r}")
        moved = x.transpose(axis, -1)
        return F.linear(moved, torch.from_numpy(matrix).to(x.dtype)).transpose(axis, -1)

    def _matrix(self) -> np.ndarray:
        """(size, length), from what becomes of each unit vector."""
        return np.stack([self._reference(row) for row in np.eye(self.length, dtype=np.float32)], 1).astype(np.float32)


def _by_torch(x: torch.Tensor, changed: dict[int, _Axis]) -> torch.Tensor | None:
    """The whole change in one call; None: torch has none that computes the same on every axis."""
    if x.ndim not in (3, 4) or min(changed) < 2:
        return None
    size: list[Any] = [changed[a].size if a in changed else x.shape[a] for a in range(2, x.ndim)]
    for mode, align in _TORCH:
        if all(axis.is_torch(mode, align) for axis in changed.values()):
            if x.ndim == 4 or mode == "nearest":
                return F.interpolate(x, size, mode=mode, align_corners=align)
            return F.interpolate(x.unsqueeze(2), [1, *size], mode=mode, align_corners=align).squeeze(2)
    return None


def _by_formula(values: np.ndarray, size: int, mode: str, align: bool) -> np.ndarray:
    """What torch's interpolate makes of a vector."""
    length, at = len(values), np.arange(size)
    if mode == "nearest":
        nearest: np.ndarray = values[at * length // size]
        return nearest
    place = at * ((length - 1) / max(size - 1, 1)) if align else (at + 0.5) * length / size - 0.5
    if mode == "bilinear":
        between: np.ndarray = np.interp(place, np.arange(length), values)
        return between
    first = np.floor(place).astype(int)
    taps = first[:, None] + np.arange(-1, 3)
    weights = _cubic(np.abs(place[:, None] - taps))
    found: np.ndarray = (weights * values[taps.clip(0, length - 1)]).sum(1)
    return found


def _cubic(t: np.ndarray) -> np.ndarray:
    """Keys' kernel at these distances, which are below 2."""
    a = CUBIC
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((t - 5) * t + 8) * t * a - 4 * a
    found: np.ndarray = np.where(t <= 1, near, far)
    return found
