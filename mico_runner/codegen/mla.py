"""Which layers kernels/mico_conv2d_mla.c takes: plain products of bytes, or of 4 bits with two positions in the halves of a word."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mico_runner.codegen.packing import WORD, pack_rows, row_words
from mico_runner.codegen.program import Form, Weights, stored_bits
from mico_runner.codegen.tiling import TOO_LARGE, requantisation, rounding_constant_of
from mico_runner.ops.c import Buffer, ConvGeometry, output_range
from mico_runner.ops.node import QNode

CORES = ("cortex-m3",)  # of `hardware.Hardware.core`: those that have MLA, and nothing better
BITS = (4, 8)  # of weights
POSITIONS = 2  # of a register block
LEAST_WORDS = 4  # of weights of 4 bits, whose sums a half of a word is to hold
_HALF = (1 << 15) - 1


def most_words(least: int, most: int) -> int:
    """Words of weights of 4 bits whose products with activations least .. most have sums that a signed half of a word holds."""
    return _HALF // (8 * max(-least, most)) // (WORD // 4)


def form(node: QNode, rows: np.ndarray, geometry: ConvGeometry, source: Buffer, output: Buffer) -> Form | str:
    """The layer for `mico_conv2d_mla_<bits>`, or why these do not take it.

    Args:
        rows: int8 (outputs, taps), in the kernel's order.
    """
    bits, activation, taps = stored_bits(node), source.type, rows.shape[1]
    if bits not in BITS:
        return f"not by multiply and add: weights of {bits} bits"
    if geometry.positions < POSITIONS:
        return "not by multiply and add: one position"
    value_words = most_words(activation.qmin, activation.qmax)
    if bits == 4 and value_words < LEAST_WORDS:
        return f"not by multiply and add: sums of activations of {activation.bits} bits fit no half of a word"
    rows = rows.astype(np.int64)
    scales = requantisation(node, output.type, np.abs(rows).sum(1) * max(-activation.qmin, activation.qmax))
    if scales is None:
        return f"not by multiply and add: {TOO_LARGE}"
    weights = replace(
        Weights.of(node, rows),
        words=pack_rows(rows, bits),
        multiplier=scales[0].astype(np.int32),
        shift=scales[1].astype(np.uint8),
    )
    written = output_range(node, output)
    how = {
        "xor_mask": "0x80808080u" if activation.signed else "0x00000000u",
        "input_offset": "0x00000000u",
        "value_words": value_words,
        "zero_copy": 0,
        "rounding": rounding_constant_of(written),
    }
    fields = {**geometry.members(), "output": written, **how}
    words = row_words(taps, bits) * (2 if bits == 8 else WORD // bits)
    return Form("conv2d_mla", fields, weights, words, variant=f"conv2d_mla_{bits}")
