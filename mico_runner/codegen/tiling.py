"""Which layers the tiled kernels (kernels/mico_tile.h) take, and how their weights lie in memory.

Weights are stored as codes u >= 0, w = scale * u - offset, as many bits as before; within each word the codes are in the order that
a shift and a mask bring into the lanes of the scheme. The constant terms of the product go into the bias.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mico_runner.codegen.packing import WORD, pack_rows, row_words
from mico_runner.codegen.program import Weights
from mico_runner.quant.qgraph import QNode, QType, storage_bits

POSITIONS = 4  # MICO_WIDE
OUTPUTS = 4  # MICO_NARROW
_BYTE = 0x01010101


@dataclass(frozen=True)
class Scheme:
    """One `mico_scheme` in C, whose kernel is `mico_conv2d_<name>`.

    Attributes:
        name, unit: its name and the file that defines it.
        lanes: codes in a word of a patch: 4 bytes, 2 or 4 lanes, or 32 bits.
        offset: of the weights' codes (`ow`); their scale is 2 with one bit, else 1.
        half: signed one-bit activations are 0 and 1 instead of 0 and 2.
    """

    name: str
    unit: str
    bits: int
    lanes: int
    offset: int
    half: bool = False

    @property
    def scale(self) -> int:
        return 2 if self.bits == 1 and self.offset else 1

    @property
    def order(self) -> np.ndarray:
        """(weights per word,) the tap, counted within the word, of each code from the lowest bits on."""
        count = WORD // self.bits
        if self.lanes == 2:  # patch word j holds taps low, low + 2
            step = np.arange(count // 2)
            low = 4 * (step // 2) + step % 2
            return np.concatenate([low + 2, low])
        if self.unit == "mico_lanes":  # four lanes: patch word j holds taps 4 j .. 4 j + 3
            lane, step = np.divmod(np.arange(count), count // 4)
            return 4 * step + 3 - lane
        return np.arange(count)


@dataclass(frozen=True)
class Tiled:
    """A layer for `mico_conv2d_tiled`: its scheme, its weights, how activations become codes, words of scratch."""

    scheme: Scheme
    weights: Weights
    flip: int
    less: int
    scratch_words: int

    def whole_words(self, geometry: dict[str, int]) -> bool:
        """Whether each patch lies in the input in one piece of whole words."""
        one = geometry["kernel_h"] * geometry["kernel_w"] == 1 and geometry["pad_h"] + geometry["pad_w"] == 0
        return one and geometry["in_c"] * self.scheme.bits % WORD == 0


def scheme_of(weight_bits: int, activation: QType, padded: bool) -> Scheme | None:
    """The scheme for a layer; None when there is none (3, 5, 6 or 7 bits of weights).

    Args:
        weight_bits: in memory.
        padded: whether the convolution has zero padding, which a signed bit (-1, +1) cannot stand for.
    """
    if weight_bits not in (1, 2, 4, 8):
        return None
    bits, offset = activation.bits, 1 << (weight_bits - 1)
    if weight_bits == 1 and bits == 1 and not (activation.is_sign and padded):
        return Scheme("signs" if activation.is_sign else "bits", "mico_bits", 1, 32, 1, half=activation.is_sign)
    bits = 2 if bits == 1 else bits  # -1 and +1 are the codes 0 and 2, and padding is 1
    if bits <= 2 and weight_bits <= 4:
        return Scheme(f"lanes8_2x{weight_bits}", "mico_lanes", weight_bits, 4, offset)
    if bits <= 4 and weight_bits <= 2:
        return Scheme(f"lanes8_4x{weight_bits}", "mico_lanes", weight_bits, 4, offset)
    if bits <= 4 or weight_bits <= 4:
        top = 4 if bits <= 4 and weight_bits >= 4 else 8
        return Scheme(f"lanes16_{top}x{weight_bits}", "mico_lanes", weight_bits, 2, offset)
    return Scheme("bytes", "mico_bytes", 8, 4, 0)


def tiled(node: QNode, rows: np.ndarray, activation: QType, positions: int, padded: bool) -> Tiled | None:
    """The layer in the form of the tiled kernels, or None when they do not take it.

    Args:
        rows: int8 (outputs, taps), in the kernel's order.
        positions: output positions (rows of a matrix) that share the weights.
    """
    scheme = scheme_of(storage_bits(node.weight_bits), activation, padded)
    if scheme is None or len(rows) < OUTPUTS:
        return None
    count, taps = rows.shape
    words = row_words(taps, scheme.bits)
    padding = words * WORD // scheme.bits - taps
    codes = (rows.astype(np.int64) + scheme.offset) // scheme.scale
    codes = np.pad(codes, ((0, 0), (0, padding))).reshape(count, words, -1)[:, :, scheme.order].reshape(count, -1)
    if not scheme.offset:
        codes &= 0xFF
    # x = sx * c - ox; the padding's activations are 0, so that their codes are ox in S unless they are halved to 0
    factor = 2 if scheme.half else 1
    shift = 0 if not activation.signed else -activation.qmin
    beyond = padding * (0 if scheme.half else shift)
    bias = node.bias.astype(np.int64) - shift * rows.astype(np.int64).sum(1) + factor * scheme.offset * beyond
    weights = Weights.of(node, rows)
    weights = replace(weights, words=pack_rows(codes, scheme.bits), bias=bias.astype(np.uint32).view(np.int32))
    patch_words = words * WORD // scheme.bits // scheme.lanes
    code_words = words * WORD // scheme.bits // 4
    return Tiled(
        scheme=scheme,
        weights=weights,
        flip=0x80 * _BYTE if activation.signed else 0,
        less=(0x80 - shift) * _BYTE if activation.signed else 0,
        scratch_words=code_words + patch_words * (POSITIONS if positions >= POSITIONS else 1),
    )
