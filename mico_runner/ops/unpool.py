"""unpool: elements put back where the maxima of windows came from, as SegNet and ENet have it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, ClassVar

import torch
import torch.nn.functional as F

from mico_runner.ops import register
from mico_runner.ops.base import Operator
from mico_runner.ops.capture import LEFT


def with_indices(
    x: torch.Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    ceil_mode: bool = False,
) -> Any:
    """Maxima of windows side by side, and the place of the first in its window; other windows stay as they are, and are refused."""
    kernel, size = _two(kernel_size), list(x.shape[2:])
    apart = _two(stride or kernel_size) == kernel and not any(padding) and set(dilation) == {1}
    if not apart or any(n % k for n, k in zip(size, kernel, strict=True)):
        return LEFT
    most = F.max_pool2d(x, kernel)
    places = [x[:, :, i :: kernel[0], j :: kernel[1]] >= most for i in range(kernel[0]) for j in range(kernel[1])]
    first, seen = [], places[0]
    for place in places[1:]:
        first.append(place & ~seen)
        seen = seen | place
    return most, reduce(torch.add, [found.to(torch.int64) * at for at, found in enumerate(first, start=1)])


def put_back(x: torch.Tensor, indices: torch.Tensor, output_size: Sequence[int]) -> Any:
    """Each element at its place of a window, zeros beside it."""
    kernel = [int(made) // int(n) for made, n in zip(output_size, x.shape[2:], strict=True)]
    if [k * n for k, n in zip(kernel, x.shape[2:], strict=True)] != list(output_size):
        return LEFT
    parts = [x * (indices == at) for at in range(kernel[0] * kernel[1])]
    stacked = torch.stack(parts, 2)
    grid = stacked.reshape(*x.shape[:2], *kernel, *x.shape[2:])
    return grid.permute(0, 1, 4, 2, 5, 3).reshape(*x.shape[:2], *output_size)


@register("unpool")
class Unpool(Operator):
    """Windows that do not overlap: comparisons with the maximum tell the place, by which the others become 0. No node of its own."""

    APART: ClassVar = {"max_pool2d_with_indices.default": with_indices, "max_unpool2d.default": put_back}
    NO_KERNEL = "it becomes maxima, comparisons and products"


def _two(values: Sequence[int]) -> list[int]:
    return [int(v) for v in values] * (2 if len(values) == 1 else 1)
