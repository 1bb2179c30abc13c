"""How weights lie for the kernels for wide registers (kernels/mico_conv2d_simd.c, mico_depthwise_simd.c), and what these work in.

Blocks of sixteen rows: weights of 8 bits word by word, as the kernels read them, those of fewer bits as patterns in the same order without
a gap, which kernels/mico_widen.c brings to bytes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mico_runner.codegen.packing import pack_rows, row_words
from mico_runner.codegen.program import Form, Weights, stored_bits
from mico_runner.codegen.tiling import TOO_LARGE, requantisation
from mico_runner.ops.c import Buffer, ConvGeometry, output_range
from mico_runner.quant.qgraph import QNode, QType

LANES = 16  # output channels of a block
PAIR = 2  # blocks whose weights are bytes at a time
FOUR = 4  # taps of a word of bytes
BYTE = 8
SLACK_BYTES = 16  # that may be read behind the last input, and written behind the last weight
FRAME_BYTES = 1 << 14  # of the inputs of a depthwise layer that are copied together: half of a first cache
_OFFSET = 128  # signed activations are read as x + 128


def blocks(rows: np.ndarray, bits: int, piece: int) -> np.ndarray:
    """Rows of weights (rows, taps) as words: uint32 (rows, row_words), read as one sequence.

    Args:
        piece: taps that lie side by side under an output; all, if that makes no difference.
    """
    count, taps = rows.shape
    words = row_words(taps, bits)
    found = []
    for block in (rows[i : i + LANES].astype(np.int16) for i in range(0, count, LANES)):
        pieces = np.split(block, taps // piece, axis=1)
        if bits == BYTE and len(pieces) == 1:
            pieces = [np.pad(block, ((0, 0), (0, -taps % FOUR)))]  # as the kernels read it
        patterns = np.concatenate([_ordered(part) for part in pieces])
        packed = pack_rows(patterns[None], bits)[0]
        found.append(np.pad(packed, (0, len(block) * words - len(packed))))
    return np.concatenate(found).reshape(count, words)


def _ordered(block: np.ndarray) -> np.ndarray:
    """Four taps of each row, then the next four, at last those that are left."""
    whole = block.shape[1] - block.shape[1] % FOUR
    fours = block[:, :whole].reshape(len(block), -1, FOUR).transpose(1, 0, 2)
    return np.concatenate([fours.ravel(), block[:, whole:].ravel()])


def widened_words(count: int, taps: int, piece: int) -> int:
    """Words of the weights of `count` rows as bytes."""
    return count * taps // piece * -(-piece // FOUR) + SLACK_BYTES // FOUR


def _weights(node: QNode, rows: np.ndarray, activation: QType, output: QType, piece: int) -> tuple[Weights, bool]:
    """The constants, and whether the high word of a product is enough for requantisation."""
    bits, wide = stored_bits(node), rows.astype(np.int64)
    bias = node.constants["bias"].astype(np.int64)
    if activation.signed:
        bias = bias - _OFFSET * wide.sum(1)
    weights = replace(
        Weights.of(node, rows), words=blocks(rows, bits, piece), bias=bias.astype(np.uint32).view(np.int32)
    )
    scales = requantisation(node, output, np.abs(wide).sum(1) * max(-activation.qmin, activation.qmax))
    if scales is None:
        return weights, False
    return replace(weights, multiplier=scales[0].astype(np.int32), shift=scales[1].astype(np.uint8)), True


def form(node: QNode, rows: np.ndarray, geometry: ConvGeometry, source: Buffer, output: Buffer) -> Form:
    """The layer for `mico_conv2d_simd`.

    Args:
        rows: int8 (outputs, taps), in the kernel's order.
    """
    width, taps = geometry.kernel[1], rows.shape[1]
    piece = (width if geometry.dilation[1] == 1 else 1) * geometry.in_c
    whole = piece % FOUR == 0 or piece == taps
    piece = taps if whole else piece
    weights, high_word = _weights(node, rows, source.type, output.type, piece)
    framed = taps % FOUR or not whole or geometry.padded or source.type.signed
    rows_in, columns = (
        size + 2 * pad for size, pad in zip((geometry.in_h, geometry.in_w), geometry.padding, strict=True)
    )
    frame = -(-(rows_in * columns * geometry.in_c + SLACK_BYTES) // FOUR) if framed else 0
    widened = not whole or weights.bits < BYTE
    fields = {
        **geometry.members(),
        "xor_mask": _OFFSET if source.type.signed else 0,
        "framed": int(bool(framed)),
        "piece": piece,
        "widened_at": frame if widened else -1,
        "high_word": int(high_word),
        "output": output_range(node, output),
    }
    more = widened_words(min(geometry.out_c, PAIR * LANES), taps, piece) if widened else 0
    return Form("conv2d_simd", fields, weights, max(1, frame + more))  # the kernel has a pointer to it in any case


def depthwise(node: QNode, geometry: ConvGeometry, source: Buffer, output: Buffer) -> Form | str:
    """The layer, of one channel a group, for `mico_depthwise_simd`, or why that does not take it."""
    rows = node.constants["weight"].reshape(geometry.out_c, -1)
    weights, high_word = _weights(node, rows, source.type, output.type, rows.shape[1])
    if not high_word:
        return f"not in wide registers: {TOO_LARGE}"
    copied = geometry.padded or source.type.signed or geometry.out_c % LANES
    pitch = (geometry.in_w + 2 * geometry.padding[1]) * geometry.in_c
    under = (geometry.kernel[0] - 1) * geometry.dilation[0] + 1
    row_tile = min(geometry.out_h, max(1, (FRAME_BYTES // pitch - under) // geometry.stride[0] + 1)) if copied else 0
    frame = ((row_tile - 1) * geometry.stride[0] + under) * pitch + SLACK_BYTES if copied else 0
    offsets_at = -(-frame // FOUR)
    weights_at = offsets_at + -(-weights.taps // FOUR) * FOUR
    fields = {
        **geometry.members(),
        "xor_mask": _OFFSET if source.type.signed else 0,
        "row_tile": row_tile,
        "offsets_at": offsets_at,
        "weights_at": weights_at,
        "output": output_range(node, output),
    }
    more = widened_words(geometry.out_c, weights.taps, weights.taps) if weights.bits < BYTE else 0
    return Form("depthwise_simd", fields, weights, weights_at + more)
