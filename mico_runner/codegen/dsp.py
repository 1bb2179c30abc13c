"""How weights lie for kernels/mico_conv2d_dsp.c and mico_depthwise_dsp.c, which multiply halves of words.

The first multiplies in pairs: a pair of taps lies in the halves that a shift brings up. The second multiplies four channels tap by tap.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mico_runner.codegen.packing import WORD, pack_rows, place_bits, row_words
from mico_runner.codegen.program import Form, Weights, stored_bits
from mico_runner.codegen.tiling import TOO_LARGE, requantisation, rounding_constant_of
from mico_runner.ops.c import Buffer, ConvGeometry, output_range
from mico_runner.quant.qgraph import QNode

CORES = ("cortex-m33", "cortex-m4", "cortex-m7")  # of `hardware.Hardware.core`: those with the instructions
BITS = (1, 2, 4, 8)  # of weights
TAPS, ROWS, POSITIONS = 2, 2, 2  # taps in a word of a column; of a register block
GROUP = 4  # channels of a depthwise layer
_HALF = WORD // 2


def places(taps: int, bits: int) -> np.ndarray:
    """(taps, bits): where each bit of each pattern of a row lies, counted from the row's first. A word's pairs are in the order of taps."""
    word, inside = np.divmod(np.arange(taps), WORD // bits)
    pair, half = np.divmod(inside, TAPS)
    first = word * WORD + half * _HALF + pair * bits
    return np.asarray(first[:, None] + np.arange(bits))


def side_by_side(words: np.ndarray) -> np.ndarray:
    """Rows of words (rows, row_words) in pairs, word by word; the last of an odd number lies alone. The shape stays."""
    whole = len(words) // ROWS * ROWS
    pairs = words[:whole].reshape(-1, ROWS, words.shape[1]).transpose(0, 2, 1)
    return np.concatenate([pairs.ravel(), words[whole:].ravel()]).reshape(words.shape)


def scratch_words(taps: int, bits: int, positions: int) -> int:
    """Of the columns of as many positions as a register block has, as halves of words."""
    return row_words(taps, bits) * (WORD // bits) // TAPS * min(positions, POSITIONS)


def form(node: QNode, rows: np.ndarray, geometry: ConvGeometry, source: Buffer, output: Buffer) -> Form | str:
    """The layer for `mico_conv2d_dsp_<bits>`, or why these do not take it.

    Args:
        rows: int8 (outputs, taps), in the kernel's order.
    """
    bits, activation = stored_bits(node), source.type
    if bits not in BITS:
        return f"not by pairs of products: weights of {bits} bits"
    if max(bits, activation.bits) <= (2 if geometry.positions == 1 else 1):
        return "not by pairs of products: so few bits are faster packed"
    rows = rows.astype(np.int64)
    scales = requantisation(node, output.type, np.abs(rows).sum(1) * max(-activation.qmin, activation.qmax))
    if scales is None:
        return f"not by pairs of products: {TOO_LARGE}"
    patterns = (rows + 1) // 2 if bits == 1 else rows & (1 << bits) - 1
    packed = side_by_side(place_bits(patterns.astype(np.uint8), places(rows.shape[1], bits)))
    weights = replace(
        Weights.of(node, rows), words=packed, multiplier=scales[0].astype(np.int32), shift=scales[1].astype(np.uint8)
    )
    written = output_range(node, output)
    fields = {
        **geometry.members(),
        **{
            "output": written,
            "rounding": rounding_constant_of(written),
            "xor_mask": "0x80808080u" if activation.signed else "0x00000000u",
        },
    }
    words = scratch_words(geometry.taps, bits, geometry.positions)
    return Form("conv2d_dsp", fields, weights, words, variant=f"conv2d_dsp_{bits}")


def depthwise(node: QNode, geometry: ConvGeometry, source: Buffer, output: Buffer, kernel: str) -> Form | str:
    """The layer, of one channel a group, for `mico_depthwise_dsp` or `_mve` (`kernel`), or why it does not take it."""
    bits, activation = stored_bits(node), source.type
    channels = geometry.out_c
    if bits not in BITS or channels % GROUP:
        return f"not four channels at a time: {channels} channels of {bits} bits"
    rows = node.constants["weight"].reshape(channels, -1).astype(np.int64)
    scales = requantisation(node, output.type, np.abs(rows).sum(1) * max(-activation.qmin, activation.qmax))
    if scales is None:
        return f"not four channels at a time: {TOO_LARGE}"
    grouped = rows.reshape(-1, GROUP, rows.shape[1]).transpose(0, 2, 1).reshape(channels // GROUP, -1)
    words = pack_rows(grouped, bits)  # four channels end in fewer words than their rows would take
    words = np.pad(words, ((0, 0), (0, GROUP * row_words(rows.shape[1], bits) - words.shape[1])))
    weights = replace(
        Weights.of(node, rows),
        words=words.reshape(channels, -1),
        multiplier=scales[0].astype(np.int32),
        shift=scales[1].astype(np.uint8),
    )
    written = output_range(node, output)
    fields = {
        **geometry.members(),
        **{"is_signed": int(activation.signed), "output": written, "rounding": rounding_constant_of(written)},
    }
    return Form(kernel, fields, weights, (2 if kernel == "depthwise_dsp" else 1) * rows.shape[1])
