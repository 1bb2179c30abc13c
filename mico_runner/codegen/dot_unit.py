"""Which layers the dot-product unit takes (kernels/mico_conv2d_dot.h, docs/design/dot_unit.md), and how it is to be set for them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mico_runner.codegen.packing import WORD, row_words
from mico_runner.codegen.program import Form, Weights, stored_bits
from mico_runner.ops.c import Buffer, ConvGeometry, output_range
from mico_runner.quant.qgraph import QNode, QType

CORES = ("fullcfu-dot",)  # of `hardware.Hardware.core`: those that have the unit
OPERANDS = (1, 2, 4, 8)  # bits of weights, and of lanes
BUFFER_WORDS = 1024  # MICO_DOT_WORDS
POSITIONS = 16  # MICO_DOT_POSITIONS
RUN_BYTES = 1016  # MICO_DOT_RUN
SEGMENT_BYTES = 2040  # MICO_DOT_SEGMENT


def form(node: QNode, rows: np.ndarray, geometry: ConvGeometry, source: Buffer, output: Buffer) -> Form | str:
    """The layer for `mico_conv2d_dot`, or why the unit does not take it.

    Args:
        rows: int8 (outputs, taps), in the kernel's order.
    """
    weight_bits, activation = stored_bits(node), source.type
    if weight_bits not in OPERANDS:
        return f"not by the dot-product unit: no operands of {weight_bits} bits"
    # zero padding is no signed bit (-1, +1)
    signs = activation.is_sign and weight_bits == 1 and not geometry.padded
    lane = max(weight_bits, 1 if signs else _operand_bits(activation))
    taps = rows.shape[1]
    column_words = row_words(taps, lane)
    if column_words > BUFFER_WORDS:
        return f"not by the dot-product unit: a column of {column_words} words is more than its buffer has"
    weights = Weights.of(node, rows)
    if signs:  # the last word's padding is -1 on both sides
        beyond = column_words * WORD - taps
        weights = replace(weights, bias=(weights.bias.astype(np.int64) - beyond).astype(np.uint32).view(np.int32))
    modes = lane.bit_length() - 1 | (weight_bits.bit_length() - 1) << 2 | int(activation.signed) << 4 | int(signs) << 5
    modes |= int(output.type.is_sign) << 6
    geometry = _in_one_row(geometry)
    sizes = {
        **{"modes": modes, "column_words": column_words, "positions": min(POSITIONS, BUFFER_WORDS // column_words)},
        "gathered": gathered(geometry),
    }
    fields = {**geometry.members(), "output": output_range(node, output), **sizes}
    return Form("conv2d_dot", fields, weights, scratch_words=0)


def _in_one_row(geometry: ConvGeometry) -> ConvGeometry:
    """The same geometry with all positions side by side, where every one has its own pixel: fully connected and 1 x 1 layers."""
    if geometry.kernel != (1, 1) or geometry.stride != (1, 1) or geometry.padded:
        return geometry
    return replace(geometry, in_h=1, in_w=geometry.in_h * geometry.in_w, out_h=1, out_w=geometry.positions)


def gathered(geometry: ConvGeometry) -> int:
    """Columns side by side whose rows fit a segment of the unit's window; 0 if a row is longer than a cut, or has gaps."""
    run, step = geometry.kernel[1] * geometry.in_c, geometry.stride[1] * geometry.in_c
    return 0 if geometry.dilation[1] != 1 or run > RUN_BYTES else (SEGMENT_BYTES - run) // step + 1


def _operand_bits(activation: QType) -> int:
    """Bits of a lane that holds every value of the type: -1 and +1, and the zeros of padding, take two."""
    bits = 2 if activation.is_sign else activation.bits
    return next(b for b in OPERANDS if b >= bits)
