"""How weights lie for kernels/mico_conv2d_mve.c, which multiplies vectors of 16 bytes.

A row is cut into pieces of 16 bytes, then one of 8 and one of 4 where as many are left. A piece is 16 taps a step: the n-th byte of a
piece has the weights of the taps n, n + its bytes, n + twice its bytes and so on. Bytes of 8 bits are the taps in their order.

Weights of fewer bits come out of a byte in one of two ways:

- At the top of a byte, by a shift and a mask, as two's complement 2^(8-bits) times as large; those of one bit as 0 and -128 for 1 and -1.
- `narrow`, by a shift alone, which leaves all that lies above: w[k] + 2^bits * w[k+1] + ... So a step counts what the steps above it have
  counted, and from the activations of these, 2^bits times those of the step below are taken, once for all rows of weights. They fit a byte
  if the activations have few bits.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mico_runner.codegen.packing import WORD, place_bits, row_words
from mico_runner.codegen.program import Form, Weights, stored_bits
from mico_runner.codegen.tiling import TOO_LARGE, requantisation
from mico_runner.ops.c import Buffer, ConvGeometry, output_range
from mico_runner.ops.node import QNode, QType

CORES = ("cortex-m55",)  # of `hardware.Hardware.core`: those with the instructions
BITS = (1, 2, 4, 8)  # of weights
NARROW = (1, 2)  # of these: those that may be taken out by a shift alone
VECTOR = 16  # bytes
POSITIONS = 3  # of a register block
MOST_TAPS = 1 << 16  # whose sums, scaled as weights come out of their bytes, are below 2^31: 2^14 a product


def pieces(words: int) -> list[int]:
    """Bytes of each piece of a row of weights of fewer than 8 bits."""
    return [VECTOR] * (words // 4) + [8] * (words >> 1 & 1) + [4] * (words & 1)


def steps(bytes_: int, bits: int) -> int:
    """Of 16 taps, that a piece has."""
    return -(-bytes_ * 8 // bits // VECTOR)


def column_bytes(taps: int, bits: int) -> int:
    """Of a position's activations, a byte each, in whole vectors."""
    words = row_words(taps, bits)
    return VECTOR * (-(-words // 4) if bits == 8 else sum(steps(piece, bits) for piece in pieces(words)))


def places(taps: int, bits: int, narrow: bool) -> np.ndarray:
    """(taps, bits): where each bit of each pattern of a row lies. The first tap of a byte is at its top, if `narrow` at its bottom."""
    if bits == 8:
        return np.arange(taps * 8).reshape(taps, 8)
    first: list[np.ndarray] = []
    begin = 0
    for piece in pieces(row_words(taps, bits)):
        above, byte = np.divmod(np.arange(piece * 8 // bits), piece)
        at = above * bits if narrow else 8 - bits - above * bits
        first.append(begin + byte * 8 + at)
        begin += piece * 8
    return np.asarray(np.concatenate(first)[:taps, None] + np.arange(bits))


def at_the_top(taps: int, bits: int) -> np.ndarray:
    """(taps,): which weights lie at the top of their bytes where they are `narrow`."""
    return np.asarray(places(taps, bits, True)[:, -1] % 8 == 7)


def is_narrow(bits: int, activation: QType) -> bool:
    """Whether 2^bits times an activation, taken off another, is a signed byte in all cases."""
    least, most = min(activation.qmin, 0), activation.qmax
    return bits in NARROW and most - (least << bits) <= 127 and least - (most << bits) >= -128


def form(node: QNode, rows: np.ndarray, geometry: ConvGeometry, source: Buffer, output: Buffer) -> Form | str:
    """The layer for `mico_conv2d_mve_<bits>`, or why these do not take it.

    Args:
        rows: int8 (outputs, taps), in the kernel's order.
    """
    bits, activation, taps = stored_bits(node), source.type, rows.shape[1]
    if bits not in BITS:
        return f"not by vectors: weights of {bits} bits"
    if taps > MOST_TAPS:
        return f"not by vectors: {taps} taps"
    rows = rows.astype(np.int64)
    scales = requantisation(node, output.type, np.abs(rows).sum(1) * max(-activation.qmin, activation.qmax))
    if scales is None:
        return f"not by vectors: {TOO_LARGE}"
    narrow, xor_mask = is_narrow(bits, activation), 128 if activation.qmax > 127 else 0
    weights = replace(
        Weights.of(node, rows),
        words=place_bits(patterns(rows, bits, narrow), places(taps, bits, narrow)),
        bias=(node.constants["bias"].astype(np.int64) + xor_mask * rows.sum(1)).astype(np.uint32).view(np.int32),
        multiplier=scales[0].astype(np.int32),
        shift=scales[1].astype(np.uint8),
    )
    column = column_bytes(taps, bits)
    fields = {**geometry.members(), "output": output_range(node, output), "xor_mask": xor_mask, "column_bytes": column}
    tile_positions = POSITIONS if geometry.positions >= POSITIONS else 1
    variant = f"conv2d_mve_{bits}" + "_narrow" * narrow
    return Form("conv2d_mve", fields, weights, column * tile_positions * 8 // WORD, variant=variant)


def patterns(rows: np.ndarray, bits: int, narrow: bool) -> np.ndarray:
    """uint8 (outputs, taps), the fields of their bytes.

    In two's complement; where they are `narrow` those below the top without a sign, 2^(bits-1) larger. Of one bit 1 is -1, and `narrow` the
    reverse but for the top, whose sign is that of the byte.
    """
    if bits == 1:
        ones = rows > 0 if narrow else rows < 0
        return np.asarray(ones ^ at_the_top(rows.shape[1], bits) if narrow else ones).astype(np.uint8)
    less = (1 << bits - 1) * ~at_the_top(rows.shape[1], bits) if narrow else 0
    return np.asarray(rows + less & (1 << bits) - 1).astype(np.uint8)
