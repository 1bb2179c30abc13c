"""Which convolutions kernels/mico_depthwise.c takes, and how many output rows share its words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mico_runner.codegen.packing import WORD
from mico_runner.codegen.placement import CACHE
from mico_runner.codegen.program import Form, Weights
from mico_runner.codegen.tiling import TOO_LARGE, requantisation, rounding_constant_of
from mico_runner.ops.c import Buffer, ConvGeometry, output_range
from mico_runner.quant.qgraph import QNode, QType

LANES = (4, 2, 1)  # output rows in a word, the best first
CHANNEL_BLOCK, MOST_ROWS = (
    4,
    2,
)  # channels gathered at a time, if they take no more scratch than these rows of the input
STORES = 4  # outputs requantised at a time
XOR_MASK = 0x80  # makes unsigned values of signed bytes


def form(node: QNode, geometry: ConvGeometry, source: Buffer, output: Buffer) -> Form | str:
    """The layer for `mico_depthwise`, or why it does not take it."""
    activation = source.type
    channels, _, kernel_h, kernel_w = node.constants["weight"].shape
    rows = node.constants["weight"][:, 0].transpose(0, 2, 1).reshape(channels, -1)
    sizes = np.abs(rows.astype(np.int64)).sum(1)
    scales = requantisation(node, output.type, sizes * max(-activation.qmin, activation.qmax))
    if scales is None:
        return f"not depthwise: {TOO_LARGE}"
    weights = replace(Weights.of(node, rows), multiplier=scales[0].astype(np.int32), shift=scales[1].astype(np.uint8))
    lanes = lanes_of(int(sizes.max()), activation, geometry.out_h)
    # output rows at a time; fewer where the input rows under them are many, as a small cache is to hold them for all channels
    row_tile = 2 if geometry.stride[0] == 2 and lanes < 4 else 4
    # a word of a column begins at each input row under the first of the lanes
    column_words = (row_tile - lanes) * geometry.stride[0] + (kernel_h - 1) * geometry.dilation[0] + 1
    sum_words = -(-geometry.out_w * lanes // STORES) * STORES // lanes
    columns = geometry.in_w + 2 * geometry.padding[1]
    rest = row_tile // lanes * sum_words + kernel_h * kernel_w
    channel_block = channel_block_of(geometry, row_tile, CHANNEL_BLOCK * columns * column_words + rest)
    members = {
        "row_tile": row_tile,
        "lanes": lanes,
        "column_words": column_words,
        "channel_block": channel_block,
        "sum_words": sum_words,
        "low": activation.qmin,
        "high": activation.qmax,
        "xor_mask": XOR_MASK if activation.signed else 0,
    }
    family = f"block_{lanes}" if channel_block == CHANNEL_BLOCK else f"nine_{lanes}" if _is_nine(geometry) else "any"
    aligned = source.place != "input" or channel_block == 1  # as the caller's buffer need not be
    written = output_range(node, output)
    fields = {
        **{name: n for name, n in geometry.sizes().items() if name not in ("in_c", "out_c")},
        **{"output": written, "channels": channels, "rounding": rounding_constant_of(written)},
        **members,
    }
    scratch_words = channel_block * columns * column_words + rest
    return Form("depthwise", fields, weights, scratch_words, f"depthwise_{family}" if aligned else "depthwise")


def _is_nine(geometry: ConvGeometry) -> bool:
    return geometry.kernel == (3, 3) and geometry.dilation == (1, 1)


def channel_block_of(geometry: ConvGeometry, row_tile: int, words: int) -> int:
    """Channels gathered at a time: four where the input rows under a group of output rows are more than a cache holds.

    Args:
        row_tile: output rows of a group.
        words: of scratch with four.
    """
    stride, row = geometry.stride[0], geometry.in_w * geometry.in_c
    plain = _is_nine(geometry) and stride <= 2
    under = ((row_tile - 1) * stride + geometry.kernel[0]) * row
    fits = words * WORD // 8 <= MOST_ROWS * row
    return CHANNEL_BLOCK if plain and fits and geometry.in_c % CHANNEL_BLOCK == 0 and under > CACHE else 1


def lanes_of(size: int, activation: QType, rows: int) -> int:
    """Output rows that share a word: as many as leave room for the sums of every channel.

    Args:
        size: the largest sum of absolute weights of a channel.
        rows: that the output has.
    """
    low, high = min(activation.qmin, 0), activation.qmax  # padding is 0
    fits = (n for n in LANES if size * (high - low) < 1 << WORD // n)
    return next(n for n in fits if rows >= LANES[0] or rows % n == 0)  # the last word may hold rows of the one before
