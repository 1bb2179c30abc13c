"""Integer biases, and the scales of channels whose weights cannot decide them.

A bias counts in steps of (input scale * channel scale). Three kinds of channels, by what decides the second:
1. Weights decide: the scale is theirs, however large the steps.
2. The bias does, where it would not fit the accumulator: the least scale with which it fits, and coarser weights.
3. The output does, where no weight is left: pruning made them zero, or rule 2 did. Whatever the scale, the channel is its bias; it
   is chosen so that the bias is exact beside a step of the output, and that 1-bit weights, which cannot be zero, add nothing to it.
"""

from __future__ import annotations

import numpy as np

from mico_runner.quant.qgraph import QType

BIAS_LIMIT = 2**30  # half of the accumulator's range stays for the products
ALONE_LIMIT = (
    2**27
)  # of a bias without weights: small enough for every kernel, also those that shift accumulators up by 3 bits
FINE = 2.0**-8  # of an output step: the most that the rounded bias, and all 1-bit products together, may be off by


def settle(
    weight: np.ndarray, scales: np.ndarray, bias: np.ndarray, weight_bits: float, read: QType, made: QType
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Integer weights (int8), scales (Cout,) and biases (int64) that fit the accumulator and each other.

    Args:
        weight, scales: of `compensation.Layer.compensated`; scale 0 and any weights for a channel that has none.
        bias: real (Cout,).
        read, made: types of the layer's input and output.
    """
    per_channel = (-1, *[1] * (weight.ndim - 1))
    least = np.abs(bias) / (read.scale * BIAS_LIMIT)
    alone, coarse = scales == 0, (scales > 0) & (least > scales)
    if coarse.any():
        ratio = np.divide(scales, least, out=np.ones(len(scales)), where=coarse)
        weight, scales = np.rint(weight * ratio.reshape(per_channel)).astype(np.int8), np.where(coarse, least, scales)
        alone |= coarse & ((weight_bits == 1) | ~weight.reshape(len(weight), -1).any(1))
    if alone.any():
        nothing, most = _nothing(weight.shape[1:], weight_bits)
        weight = np.where(alone.reshape(per_channel), nothing, weight)
        factor = FINE / max(1, most * max(-read.qmin, read.qmax))
        wanted = np.maximum(factor * made.scale, np.abs(bias) / ALONE_LIMIT) / read.scale
        scales = np.where(alone, wanted, scales)
    return weight, scales, np.rint(bias / (read.scale * scales)).astype(np.int64)


def _nothing(shape: tuple[int, ...], weight_bits: float) -> tuple[np.ndarray, int]:
    """A channel's weights that say nothing, and the most that they add to an accumulator per step of the input.

    At 1 bit signs take turns: neighbours are alike in most inputs, and cancel.
    """
    if weight_bits != 1:
        return np.zeros(shape, dtype=np.int8), 0
    taps = int(np.prod(shape))
    return np.where(np.arange(taps) % 2, -1, 1).astype(np.int8).reshape(shape), taps
