"""Families of kernels: what a latency profile tells apart, and the columns that say how large a kernel of each is.

A family is mostly an operator's kernel; convolutions with a channel per group have one of their own, and operators whose kernels do
the same share one. `mico_runner.kernel_table` gives the columns' meaning. Plain data: `validate` reads it without torch.
"""

from __future__ import annotations

from dataclasses import dataclass

_CHANNELS = ("in_channels", "out_channels")
_IMAGE = ("in_h", "in_w")
_WINDOW = (*_IMAGE, "kernel_h", "kernel_w", "stride")


@dataclass(frozen=True)
class Family:
    """One kind of kernel.

    Attributes:
        stream: number of its stream of random numbers where shapes are drawn: it never changes, so that profiles can be made again.
        columns: without which a latency says nothing, bits left out; the other columns of a shape are 1.
        ranges: keys of `profile.kernels.<family>` in a spec: what a sampler draws.
        weighted: it multiplies by weights, of any bits.
        dense: a matrix product: every output channel reads every input channel of its group.
        tokens: a batch is rows of one product.
        features: columns that predictors are shown, bits left out; () where they are shown the window and the number of outputs.
        reads: tensors of its input's size that it reads.
        unrolled: side of the window for which the small cores' kernel has no loops over taps; 0 for none.
    """

    stream: int
    columns: tuple[str, ...]
    ranges: tuple[str, ...]
    weighted: bool = False
    dense: bool = False
    tokens: bool = False
    features: tuple[str, ...] = ()
    reads: int = 1
    unrolled: int = 0


COPY = "requant"  # of the kernel that brings a tensor to fewer bits
CONVOLUTIONS = ("conv2d", "depthwise")  # the second are those of the first with a channel per group

_CONVOLUTION = ("macs", "in_h", "in_w", "in_channels", "out_channels", "kernel_h", "stride")
_DRAWN_WINDOW = ("in_channels", "in_h", "kernel", "stride")

FAMILIES = {
    "conv2d": Family(
        stream=0,
        columns=(*_CHANNELS, *_WINDOW),
        ranges=(*_CHANNELS, "in_h", "kernel", "stride"),
        weighted=True,
        dense=True,
        features=_CONVOLUTION,
    ),
    "linear": Family(
        stream=1,
        columns=_CHANNELS,
        ranges=_CHANNELS,
        weighted=True,
        dense=True,
        tokens=True,
        features=("macs", "out_channels", "in_channels"),
    ),
    "max_pool2d": Family(2, (*_CHANNELS, *_WINDOW), _DRAWN_WINDOW, unrolled=2),
    "avg_pool2d": Family(3, (*_CHANNELS, *_WINDOW), _DRAWN_WINDOW),
    "add": Family(4, (*_CHANNELS, *_IMAGE), ("in_channels", "in_h"), reads=2),
    "depthwise": Family(5, (*_CHANNELS, *_WINDOW, "groups"), _DRAWN_WINDOW, weighted=True, features=_CONVOLUTION),
    "requant": Family(6, (*_CHANNELS, *_IMAGE), ("in_channels", "in_h")),
    "table": Family(7, (*_CHANNELS, *_IMAGE), ("in_channels", "in_h")),
}
