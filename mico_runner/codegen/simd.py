"""How weights lie for kernels/mico_conv2d_simd.c: blocks of sixteen rows, word by word; taps in the bytes that a shift brings up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mico_runner.codegen.packing import WORD, pack_rows, row_words
from mico_runner.codegen.program import Weights
from mico_runner.codegen.tiling import requantisation
from mico_runner.quant.qgraph import QNode, QType, storage_bits

LANES = 16  # output channels of a block
PATCHES = 8  # at most
SLACK_BYTES = 16  # a patch's last run may be copied as this many bytes
_OFFSET = 128  # signed activations are read as x + 128


def order(bits: int) -> np.ndarray:
    """(weights per word,) the tap, counted within the word, of each code from the lowest bits on."""
    byte, step = np.divmod(np.arange(WORD // bits) * bits, 8)
    return 4 * (step // bits) + byte


def takes(bits: int) -> bool:
    """Whether the kernel has a loop for weights of these bits: whole numbers of them fill a byte."""
    return 8 % bits == 0


def weights_of(node: QNode, rows: np.ndarray, activation: QType, output: QType) -> tuple[Weights, bool] | None:
    """The layer's constants, and whether they are for requantisation by the high word; None when its bits (3, 5, 6, 7) fill no byte.

    Args:
        rows: int8 (outputs, taps), in the kernel's order.
    """
    bits = storage_bits(node.weight_bits)
    if not takes(bits):
        return None
    count, taps = rows.shape
    words = row_words(taps, bits)
    padding = words * WORD // bits - taps
    codes = (rows > 0).astype(np.int16) if bits == 1 else rows.astype(np.int16)
    codes = np.pad(codes, ((0, 0), (0, padding))).reshape(count, words, -1)[:, :, order(bits)].reshape(count, -1)
    packed = pack_rows(codes, bits)
    blocks = [packed[i : i + LANES].T.ravel() for i in range(0, count, LANES)]
    bias = node.constants["bias"].astype(np.int64)
    if activation.signed:
        beyond = -padding if bits == 1 else 0  # weights of the padding, whose activations are 128 too
        bias = bias - _OFFSET * (rows.astype(np.int64).sum(1) + beyond)
    wrapped = bias.astype(np.uint32).view(np.int32)
    weights = replace(Weights.of(node, rows), words=np.concatenate(blocks).reshape(count, words), bias=wrapped)
    scales = requantisation(node, output, np.abs(rows.astype(np.int64)).sum(1) * max(-activation.qmin, activation.qmax))
    if scales is None:
        return weights, False
    return replace(weights, multiplier=scales[0].astype(np.int32), shift=scales[1].astype(np.uint8)), True


def scratch_words(weights: Weights, positions: int) -> int:
    """Room for the patches of a layer of that many output positions."""
    patch = weights.words.shape[1] * WORD // weights.bits
    return (min(positions, PATCHES) * patch + SLACK_BYTES) // 4
