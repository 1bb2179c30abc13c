"""How weights lie for kernels/mico_conv2d_simd.c: blocks of sixteen rows, word by word; taps in the bytes that a shift brings up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mico_runner.codegen.packing import WORD, pack_rows, row_words
from mico_runner.codegen.program import Form, Weights, stored_bits
from mico_runner.codegen.tiling import requantisation
from mico_runner.ops.c import Buffer, ConvGeometry, output_range
from mico_runner.quant.qgraph import QNode

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


def form(node: QNode, rows: np.ndarray, geometry: ConvGeometry, source: Buffer, output: Buffer) -> Form | str:
    """The layer for `mico_conv2d_simd`, or why it does not take it.

    Args:
        rows: int8 (outputs, taps), in the kernel's order.
    """
    bits, activation = stored_bits(node), source.type
    if not takes(bits):
        return f"not in wide registers: weights of {bits} bits fill no byte"
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
    products = np.abs(rows.astype(np.int64)).sum(1) * max(-activation.qmin, activation.qmax)
    if (scales := requantisation(node, output.type, products)) is not None:  # by the high word
        weights = replace(weights, multiplier=scales[0].astype(np.int32), shift=scales[1].astype(np.uint8))
    how = {"flip": int(activation.signed), "high_word": int(scales is not None)}
    fields = {**geometry.members(), "output": output_range(node, output), **how}
    patch = words * WORD // bits
    return Form("conv2d_simd", fields, weights, (min(geometry.positions, PATCHES) * patch + SLACK_BYTES) // 4)
