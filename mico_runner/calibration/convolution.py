"""The shape of a convolution from its counts: multiply-accumulates, weights and activations determine it almost always.

Counts are whole numbers, so the equations are solved by trying: of every output size and kernel that divide the counts, those are kept
whose input is a square of the matching size. Where several fit, the smallest kernel is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

MAX_SIZE = 256  # output height tried at most; networks for images of up to 512 x 512 start below it
KERNELS = (1, 3, 5, 7, 11, 14, 16, 32)
PATCH = 7  # from this kernel on, strides beyond 2 occur: stems and non-overlapping patches


@dataclass(frozen=True)
class Convolution:
    """A square convolution of one sample: sizes in pixels and channels."""

    kernel: int
    stride: int
    in_channels: int
    out_channels: int
    groups: int
    out_size: int
    in_size: int

    @property
    def macs(self) -> int:
        return self.outputs * self.reduction

    @property
    def reduction(self) -> int:
        """Products per output: kernel area times input channels of one group."""
        return self.kernel**2 * self.in_channels // self.groups

    @property
    def outputs(self) -> int:
        return self.out_channels * self.out_size**2

    @property
    def inputs(self) -> int:
        return self.in_channels * self.in_size**2

    @property
    def weights(self) -> int:
        return self.out_channels * self.reduction


def single(macs: int, weights: int, activations: int, per_channel: int) -> Convolution | None:
    """The convolution with these counts, or None.

    Args:
        activations: input plus output elements.
        per_channel: further parameters per output channel: 1 for a bias, 2 for a folded batch norm.
    """
    best = None
    for size in range(1, MAX_SIZE + 1):
        if macs % size**2:
            continue
        kernel_weights = macs // size**2
        out_channels, rest = divmod(weights - kernel_weights, per_channel)
        if out_channels <= 0 or rest or kernel_weights % out_channels:
            continue
        inputs = activations - out_channels * size**2
        for kernel in KERNELS:
            per_group, rest = divmod(kernel_weights // out_channels, kernel**2)
            if rest or per_group == 0:
                continue
            depthwise = per_group == 1 and kernel > 1
            in_channels = out_channels if depthwise else per_group
            if inputs <= 0 or inputs % in_channels:
                continue
            in_size = isqrt(inputs // in_channels)
            strides = (1, 2) if kernel < PATCH else (1, 2, 4, kernel)
            stride = next((s for s in strides if -(-in_size // s) == size), None)
            if in_size**2 * in_channels == inputs and stride and (best is None or kernel < best.kernel):
                groups = out_channels if depthwise else 1
                best = Convolution(kernel, stride, in_channels, out_channels, groups, size, in_size)
    return best


def pair(macs: int, weights: int, activations: int) -> tuple[Convolution, Convolution] | None:
    """A pointwise or 3 x 3 stride-2 convolution of an RGB image, then a depthwise one, each with batch norm; or None.

    With x the first one's weights and E its channels: weights = x + (k² + 4) E, and macs = x·in² + k² E·out².
    """
    for size in range(1, MAX_SIZE + 1):
        for stride, in_size in ((1, size), (2, 2 * size), (2, 2 * size - 1)):
            for kernel in (3, 5):
                by = (kernel**2 + 4) * in_size**2 - kernel**2 * size**2
                middle, rest = divmod(weights * in_size**2 - macs, by)
                if rest or middle <= 0:
                    continue
                first = weights - (kernel**2 + 4) * middle
                if first <= 0 or first % middle:
                    continue
                depthwise = Convolution(kernel, stride, middle, middle, middle, size, in_size)
                expand = Convolution(1, 1, first // middle, middle, 1, in_size, in_size)
                stem = Convolution(3, 2, 3, middle, 1, in_size, 2 * in_size)
                for before in (expand, stem):
                    if before.weights == first and before.inputs + depthwise.outputs == activations:
                        return before, depthwise
    return None
