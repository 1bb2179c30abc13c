"""im2col: windows of an image as columns of a matrix, as torch's Unfold makes them; and of any tensor along one dimension."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F

from mico_runner.ops import register
from mico_runner.ops.base import Shapes, sample
from mico_runner.ops.capture import Call, Refused, pair
from mico_runner.ops.movement import ZERO, Movement
from mico_runner.ops.node import Node, QNode
from mico_runner.ops.permute import permuted
from mico_runner.ops.take import taken


def folded(
    x: torch.Tensor,
    output_size: Sequence[int],
    kernel_size: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
    stride: Sequence[int],
) -> torch.Tensor:
    """Columns as the windows of an image, which are added up where they overlap: by a transposed convolution with ones."""
    kernel, steps, edges, apart = (list(pair(values)) for values in (kernel_size, stride, padding, dilation))
    reach = [d * (k - 1) + 1 for d, k in zip(apart, kernel, strict=True)]
    n, taps = x.shape[0], kernel[0] * kernel[1]
    grid = [(m + 2 * p - r) // s + 1 for m, p, r, s in zip(output_size, edges, reach, steps, strict=True)]
    channels = x.shape[1] // taps
    if (
        kernel == steps == reach
        and not any(edges)
        and [g * k for g, k in zip(grid, kernel, strict=True)] == list(output_size)
    ):
        windows = x.reshape(n, channels, *kernel, *grid)
        return windows.permute(0, 1, 4, 2, 5, 3).reshape(n, channels, *output_size)
    ones = torch.eye(taps).reshape(taps, 1, *kernel).repeat(channels, 1, 1, 1)
    more = [m - (g - 1) * s + 2 * p - r for m, g, s, p, r in zip(output_size, grid, steps, edges, reach, strict=True)]
    return F.conv_transpose2d(x.reshape(n, -1, *grid), ones, None, steps, edges, more, channels, apart)


@register("im2col")
class Im2col(Movement):
    """(C * kh * kw, L): column i holds the elements under window i, zeros outside the image; attributes are pairs (height, width)."""

    ATEN = ("im2col.default", "unfold.default")
    APART: ClassVar = {"col2im.default": folded}
    ATTRS = ("kernel", "dilation", "padding", "stride")

    def capture(self, call: Call) -> str:
        if call.target == "unfold":
            return _along(call)
        tensor = call.input()
        if call.rank(tensor) != 3 or call.batch_read != 0:
            raise Refused("it needs inputs of shape (N, C, H, W)")
        attrs = {"kernel": pair(call["kernel_size"]), **{key: pair(call[key]) for key in self.ATTRS[1:]}}
        return call.emit(self.name, [tensor], call.shape, attrs=attrs)

    def requested_bits(self, node: Node, wanted: int, at: int = 0) -> int:
        """At least 2: a signed bit has no zero."""
        return max(wanted, 2)

    def sources(self, node: Node | QNode, shape: tuple[int, ...]) -> np.ndarray:
        index = np.arange(int(np.prod(shape))).reshape(shape)
        (kh, kw), (dh, dw), (ph, pw), (sh, sw) = (node.attrs[name] for name in self.ATTRS)
        wide = np.pad(index, ((0, 0), (ph, ph), (pw, pw)), constant_values=ZERO)
        extent = (dh * (kh - 1) + 1, dw * (kw - 1) + 1)
        found = np.lib.stride_tricks.sliding_window_view(wide, extent, axis=(1, 2))[:, ::sh, ::sw, ::dh, ::dw]
        return np.ascontiguousarray(found.transpose(0, 3, 4, 1, 2).reshape(shape[0] * kh * kw, -1))

    def samples(self, rng: np.random.Generator) -> Iterator[tuple[Node, Shapes]]:
        one = (1, 1)
        for values, target in ((((2, 2), one, (0, 0), (2, 2)), (12, 4)), (((3, 2), (1, 2), (1, 0), one), (18, 12))):
            yield sample(self.name, [(3, 4, 5)], target, dict(zip(self.ATTRS, values, strict=True)))


def _along(call: Call) -> str:
    """Windows along one dimension, their elements a new last one."""
    tensor, axis, size, step = call.input(), call.axis(call["dimension"]), int(call["size"]), int(call["step"])
    if axis < 0 or call["dimension"] % len(call.sizes_read) == call.batch_read:
        raise Refused("windows over the batch are not supported")
    shape = list(call.builder.shapes[tensor])
    starts = range(0, shape[axis] - size + 1, step)
    tensor = taken(call, tensor, axis, [start + i for start in starts for i in range(size)])
    shape[axis : axis + 1] = [len(starts), size]
    order = (*(d for d in range(len(shape)) if d != axis + 1), axis + 1)
    return permuted(call, call.reshape(tensor, tuple(shape)), order)
