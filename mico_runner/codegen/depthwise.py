"""Which convolutions kernels/mico_depthwise.c takes, and how many output rows share its words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mico_runner.codegen.packing import WORD
from mico_runner.codegen.placement import CACHE
from mico_runner.codegen.program import Weights
from mico_runner.codegen.tiling import requantisation
from mico_runner.quant.qgraph import QNode, QType

LANES = (4, 2, 1)  # output rows in a word, the best first
PLANES, MOST_ROWS = 4, 2  # channels gathered at a time, if they take no more scratch than these rows of the input
STORES = 4  # outputs requantised at a time
FLIP = 0x80  # makes codes of signed bytes


def depthwise(
    node: QNode, geometry: dict[str, int], activation: QType, output: QType
) -> tuple[Weights, dict[str, Any], int, str] | None:
    """Constants, further members of `mico_depthwise_t`, words of scratch and function; None when the kernel does not take the layer.

    Args:
        geometry: members of `mico_conv2d_t`.
    """
    channels, _, kernel_h, kernel_w = node.constants["weight"].shape
    rows = node.constants["weight"][:, 0].transpose(0, 2, 1).reshape(channels, -1)
    sizes = np.abs(rows.astype(np.int64)).sum(1)
    scales = requantisation(node, output, sizes * max(-activation.qmin, activation.qmax))
    if scales is None:
        return None
    weights = replace(Weights.of(node, rows), multiplier=scales[0].astype(np.int32), shift=scales[1].astype(np.uint8))
    lanes = lanes_of(int(sizes.max()), activation, geometry["out_h"])
    # output rows at a time; fewer where the input rows under them are many, as a small cache is to hold them for all channels
    together = 2 if geometry["stride_h"] == 2 and lanes < 4 else 4
    # a word of a column begins at each input row under the first of the lanes
    column_words = (together - lanes) * geometry["stride_h"] + (kernel_h - 1) * geometry["dilation_h"] + 1
    sum_words = -(-geometry["out_w"] * lanes // STORES) * STORES // lanes
    columns = geometry["in_w"] + 2 * geometry["pad_w"]
    rest = together // lanes * sum_words + kernel_h * kernel_w
    planes = planes_of(geometry, together, PLANES * columns * column_words + rest)
    members = {
        "together": together,
        "lanes": lanes,
        "column_words": column_words,
        "planes": planes,
        "sum_words": sum_words,
        "low": activation.qmin,
        "high": activation.qmax,
        "flip": FLIP if activation.signed else 0,
    }
    family = f"planes_{lanes}" if planes == PLANES else f"nine_{lanes}" if _is_nine(geometry) else "any"
    return weights, members, planes * columns * column_words + rest, f"depthwise_{family}"


def _is_nine(geometry: dict[str, int]) -> bool:
    return geometry["kernel_h"] == geometry["kernel_w"] == 3 and geometry["dilation_h"] * geometry["dilation_w"] == 1


def planes_of(geometry: dict[str, int], together: int, words: int) -> int:
    """Channels gathered at a time: four where the input rows under a group of output rows are more than a cache holds.

    Args:
        together: output rows of a group.
        words: of scratch with four.
    """
    stride, row = geometry["stride_h"], geometry["in_w"] * geometry["in_c"]
    plain = _is_nine(geometry) and stride <= 2
    under = ((together - 1) * stride + geometry["kernel_h"]) * row
    fits = words * WORD // 8 <= MOST_ROWS * row
    return PLANES if plain and fits and geometry["in_c"] % PLANES == 0 and under > CACHE else 1


def lanes_of(size: int, activation: QType, rows: int) -> int:
    """Output rows that share a word: as many as leave room for the sums of every channel.

    Args:
        size: the largest sum of absolute weights of a channel.
        rows: that the output has.
    """
    low, high = min(activation.qmin, 0), activation.qmax  # padding is 0
    fits = (n for n in LANES if size * (high - low) < 1 << WORD // n)
    return next(n for n in fits if rows >= LANES[0] or rows % n == 0)  # the last word may hold rows of the one before
