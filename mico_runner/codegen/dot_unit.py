"""Which layers the dot-product unit takes (kernels/mico_conv2d_dot.h, docs/design/dot_unit.md), and how it is to be set for them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mico_runner.codegen.packing import WORD, row_words
from mico_runner.codegen.program import Weights
from mico_runner.quant.qgraph import QNode, QType, storage_bits

CORES = ("fullcfu-dot",)  # of `hardware.Hardware.core`: those that have the unit
OPERANDS = (1, 2, 4, 8)  # bits of weights, and of lanes
BUFFER_WORDS = 1024  # MICO_DOT_WORDS
POSITIONS = 16  # MICO_DOT_POSITIONS
RUN_BYTES = 1016  # MICO_DOT_RUN
SEGMENT_BYTES = 2040  # MICO_DOT_SEGMENT


@dataclass(frozen=True)
class DotLayer:
    """A layer for `mico_conv2d_dot`; the fields are those of its struct."""

    weights: Weights
    modes: int
    patch_words: int

    @property
    def positions(self) -> int:
        return min(POSITIONS, BUFFER_WORDS // self.patch_words)


def dot_layer(node: QNode, rows: np.ndarray, activation: QType, padded: bool) -> DotLayer | None:
    """The layer for the unit; None when it has weights of 3, 5, 6 or 7 bits, or a patch that does not fit the unit's buffer.

    Args:
        rows: int8 (outputs, taps), in the kernel's order.
        padded: whether the convolution has zero padding, which a signed bit (-1, +1) cannot stand for.
    """
    weight_bits = storage_bits(node.weight_bits)
    if weight_bits not in OPERANDS:
        return None
    signs = activation.is_sign and weight_bits == 1 and not padded
    lane = max(weight_bits, 1 if signs else _operand_bits(activation))
    taps = rows.shape[1]
    patch_words = row_words(taps, lane)
    if patch_words > BUFFER_WORDS:
        return None
    weights = Weights.of(node, rows)
    if signs:  # the last word's padding is -1 on both sides
        beyond = patch_words * WORD - taps
        weights = replace(weights, bias=(weights.bias.astype(np.int64) - beyond).astype(np.uint32).view(np.int32))
    modes = lane.bit_length() - 1 | (weight_bits.bit_length() - 1) << 2 | int(activation.signed) << 4 | int(signs) << 5
    return DotLayer(weights, modes, patch_words)


def in_one_row(fields: dict[str, int]) -> dict[str, int]:
    """The same geometry with all positions side by side, where every one has its own pixel: fully connected and 1 x 1 layers."""
    ones = ("kernel_h", "kernel_w", "stride_h", "stride_w")
    if any(fields[key] != 1 for key in ones) or fields["pad_h"] + fields["pad_w"]:
        return fields
    size = {"in_w": fields["in_h"] * fields["in_w"], "out_w": fields["out_h"] * fields["out_w"]}
    return {**fields, **size, "in_h": 1, "out_h": 1}


def together(fields: dict[str, int]) -> int:
    """Patches side by side whose rows fit a segment of the unit's window; 0 if a row is longer than a cut, or has gaps."""
    run, step = fields["kernel_w"] * fields["in_c"], fields["stride_w"] * fields["in_c"]
    return 0 if fields["dilation_w"] != 1 or run > RUN_BYTES else (SEGMENT_BYTES - run) // step + 1


def output_mode(sign: bool) -> int:
    """The part of `modes` that depends on the output: whether only -1 and +1 occur."""
    return int(sign) << 6


def _operand_bits(activation: QType) -> int:
    """Bits of a lane that holds every value of the type: -1 and +1, and the zeros of padding, take two."""
    bits = 2 if activation.is_sign else activation.bits
    return next(b for b in OPERANDS if b >= bits)
