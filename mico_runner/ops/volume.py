"""volume: convolutions, pools and interpolation of volumes (N, C, D, H, W), as those of images that they consist of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F

from mico_runner.ops import register
from mico_runner.ops.base import Operator
from mico_runner.ops.capture import LEFT

Sizes = Sequence[int]
_calls: Any = F  # the stubs of which do not take the lists that the calls do


def convolution(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: Sizes = (1,),
    padding: Sizes = (0,),
    dilation: Sizes = (1,),
    groups: int = 1,
) -> torch.Tensor:
    """One of images: rows of all layers' elements where the kernel has no height and width, else the layers under it as channels."""
    (s, *strides), (p, *paddings), (d, *dilations) = (_three(values) for values in (stride, padding, dilation))
    depth, *kernel = weight.shape[2:]
    n, channels, layers, *size = x.shape
    if kernel == [1, 1] and strides == [1, 1] and paddings == [0, 0]:
        rows = x.reshape(n, channels, layers, -1)
        found = _calls.conv2d(rows, weight.flatten(3), bias, (s, 1), (p, 0), (d, 1), groups)
        in_rows: torch.Tensor = found.reshape(n, len(weight), -1, *size)
        return in_rows
    if p:
        x = F.pad(x, (0, 0, 0, 0, p, p))
    made = (x.shape[2] - d * (depth - 1) - 1) // s + 1
    index = (torch.arange(made)[:, None] * s + torch.arange(depth) * d).flatten()
    under = x.index_select(2, index).reshape(n, channels, made, depth, *size).transpose(1, 2)
    images = under.reshape(n * made, channels * depth, *size)
    found = _calls.conv2d(images, weight.flatten(1, 2), bias, strides, paddings, dilations, groups)
    volumes: torch.Tensor = found.reshape(n, made, *found.shape[1:]).transpose(1, 2)
    return volumes


def named_padding(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: Any = None,
    stride: Sizes = (1,),
    padding: str = "valid",
    dilation: Sizes = (1,),
    groups: int = 1,
) -> torch.Tensor:
    """A convolution with the padding "same" or "valid"."""
    total = [d * (k - 1) * (padding == "same") for d, k in zip(_three(dilation), weight.shape[2:], strict=True)]
    x = F.pad(x, [n for t in reversed(total) for n in (t // 2, t - t // 2)])
    return convolution(x, weight, bias, stride, (0,), dilation, groups)


def transposed(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: Any = None,
    stride: Sizes = (1,),
    padding: Sizes = (0,),
    output_padding: Sizes = (0,),
    groups: int = 1,
    dilation: Sizes = (1,),
) -> torch.Tensor:
    """A convolution with the weights turned round, of the volume with zeros between its elements."""
    strides, paddings, extras, dilations = (_three(values) for values in (stride, padding, output_padding, dilation))
    for axis, step in enumerate(strides, start=2):
        length = x.shape[axis]
        if step > 1:
            wide = F.pad(x.unsqueeze(axis + 1), [0, 0] * (4 - axis) + [0, step - 1]).flatten(axis, axis + 1)
            x = wide.narrow(axis, 0, (length - 1) * step + 1)
    edges = [d * (k - 1) - p for d, k, p in zip(dilations, weight.shape[2:], paddings, strict=True)]
    x = F.pad(x, [n for e, extra in reversed(list(zip(edges, extras, strict=True))) for n in (e, e + extra)])
    turned = weight.flip((2, 3, 4))
    turned = turned.reshape(groups, -1, *turned.shape[1:]).transpose(1, 2).flatten(0, 1)
    return convolution(x, turned, bias, (1,), (0,), dilations, groups)


def maxima(
    x: torch.Tensor,
    kernel_size: Sizes,
    stride: Sizes = (),
    padding: Sizes = (0,),
    dilation: Sizes = (1,),
    ceil_mode: bool = False,
) -> torch.Tensor:
    window = [_three(values) for values in (kernel_size, stride or kernel_size, padding, dilation)]
    return _separable(
        x,
        lambda images: _calls.max_pool2d(images, *(values[1:] for values in window), ceil_mode),
        lambda rows: _calls.max_pool2d(rows, *_along(window), ceil_mode),
    )


def averages(
    x: torch.Tensor,
    kernel_size: Sizes,
    stride: Sizes = (),
    padding: Sizes = (0,),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """With another divisor the call stays as it is, and is refused."""
    if divisor_override is not None:
        return LEFT
    window = [_three(values) for values in (kernel_size, stride or kernel_size, padding)]
    return _separable(
        x,
        lambda images: _calls.avg_pool2d(images, *(values[1:] for values in window), ceil_mode, count_include_pad),
        lambda rows: _calls.avg_pool2d(rows, *_along(window), ceil_mode, count_include_pad),
    )


def adaptive_averages(x: torch.Tensor, output_size: Sizes) -> torch.Tensor:
    depth, *size = _three(output_size)
    return _separable(
        x,
        lambda images: _calls.adaptive_avg_pool2d(images, size),
        lambda rows: _calls.adaptive_avg_pool2d(rows, (depth, rows.shape[3])),
    )


def trilinear(
    x: torch.Tensor, output_size: Sizes | None, align_corners: bool, scale_factors: Sequence[float] | None = None
) -> torch.Tensor:
    return _resized(x, output_size, scale_factors, {"mode": "bilinear", "align_corners": align_corners})


def nearest(x: torch.Tensor, output_size: Sizes | None, scale_factors: Sequence[float] | None = None) -> torch.Tensor:
    return _resized(x, output_size, scale_factors, {"mode": "nearest"})


def _resized(x: torch.Tensor, size: Sizes | None, factors: Sequence[float] | None, how: dict[str, Any]) -> torch.Tensor:
    made = [int(n * f) for n, f in zip(x.shape[2:], factors or (), strict=True)] if size is None else list(size)
    return _separable(
        x,
        lambda images: _calls.interpolate(images, size=made[1:], **how),
        lambda rows: _calls.interpolate(rows, size=[made[0], rows.shape[3]], **how),
    )


@register("volume")
class Volume(Operator):
    """Calls on volumes, which are captured as calls on images. No node of its own."""

    APART: ClassVar = {
        "conv3d.default": convolution,
        "conv3d.padding": named_padding,
        "conv_transpose3d.input": transposed,
        "max_pool3d.default": maxima,
        "avg_pool3d.default": averages,
        "adaptive_avg_pool3d.default": adaptive_averages,
        "upsample_trilinear3d.vec": trilinear,
        "upsample_nearest3d.vec": nearest,
    }
    NO_KERNEL = "it becomes convolutions, pools and interpolation of images"


def _separable(
    x: torch.Tensor, of_images: Callable[[torch.Tensor], torch.Tensor], of_rows: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """What is done in height and width, to each layer as an image; then along the depth, to (N, C, D, height * width)."""
    images = of_images(x.flatten(1, 2))
    n, channels, depth = x.shape[:3]
    found = of_rows(images.reshape(n, channels, depth, -1))
    return found.reshape(*found.shape[:3], *images.shape[2:])


def _along(window: list[list[int]]) -> list[tuple[int, int]]:
    """Kernel, stride, padding and dilation along the depth alone."""
    return [(values[0], other) for values, other in zip(window, (1, 1, 0, 1), strict=False)]


def _three(values: Sizes) -> list[int]:
    return [int(v) for v in values] * (3 if len(values) == 1 else 1)
