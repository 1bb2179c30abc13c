"""Which layers the tiled kernels (kernels/mico_tile.h) take: their form in a micro-kernel, and the numbers of their requantisation.

The constant terms of the product of values (codegen/micro) go into the bias.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mico_runner.codegen.micro.base import POSITIONS, VALUES, MicroKernel
from mico_runner.codegen.packing import WORD, place_bits
from mico_runner.codegen.program import Form, Weights
from mico_runner.ops.c import Buffer, ConvGeometry, Fields, output_range
from mico_runner.quant.qgraph import QNode, QType, scaling_of

MOST_FOUR = 255  # taps of columns that are gathered four at a time: their sums are counted in bytes and halves of words
HIGH_BITS = 31  # of a factor in the multiplication whose high word is kept
LEFT_BITS = 5  # of it that hold how far the accumulator is shifted up
SIGN_FACTOR, SIGN_LEFT = (1 << HIGH_BITS) - (1 << LEFT_BITS), 3  # to signed bits
_BYTE = 0x01010101
TOO_LARGE = "a channel's numbers are too large for requantisation in 32 bits"


def variant(kernel: MicroKernel, geometry: ConvGeometry) -> str:
    """The layer's function is `mico_conv2d_<variant>`."""
    if kernel.tile(geometry.positions) == 1:
        return f"{kernel.name}_narrow"
    return f"{kernel.name}_four" if _gathers_four(kernel, geometry) else kernel.name


def _gathers_four(kernel: MicroKernel, geometry: ConvGeometry) -> bool:
    """Whether the columns of four positions are gathered together.

    A column of many taps is, and one whose rows are whole words or halves of them, which are copied as such.
    """
    wide = kernel.tile(geometry.positions) == POSITIONS
    near = geometry.dilation == (1, 1) and geometry.kernel != (1, 1)
    fits = geometry.taps <= MOST_FOUR and geometry.out_w >= POSITIONS
    return bool(wide and near and fits and geometry.in_c % 2)


def whole_words(geometry: ConvGeometry) -> bool:
    """Whether each column lies in the input in one piece of whole words."""
    return geometry.kernel == (1, 1) and not geometry.padded and geometry.in_c % VALUES == 0


def form(
    node: QNode, rows: np.ndarray, geometry: ConvGeometry, source: Buffer, output: Buffer, kernel: MicroKernel
) -> Form | str:
    """The layer for the micro-kernel that holds it, or why that does not take it.

    Args:
        rows: int8 (outputs, taps), in the kernel's order.
    """
    activation, taps = source.type, geometry.taps
    rows = rows.astype(np.int64)
    scales = requantisation(node, output.type, np.abs(rows).sum(1) * max(-activation.qmin, activation.qmax))
    if scales is None:
        return f"not tiled: {TOO_LARGE}"
    value_words = -(-taps // VALUES)
    values = (rows + kernel.zero_point) // kernel.scale
    # x = sx * c - ox; beyond the taps activations are 0, so that their values are ox in S unless they are halved to 0
    factor = 2 if kernel.HALF else 1
    shift = 0 if not activation.signed else -activation.qmin
    beyond = (value_words * VALUES - taps) * (0 if kernel.HALF else shift)
    bias = node.constants["bias"].astype(np.int64) - shift * rows.sum(1) + factor * kernel.zero_point * beyond
    weights = replace(
        Weights.of(node, rows),
        words=kernel.mixed(place_bits(values, kernel.places(taps))),
        bias=bias.astype(np.uint32).view(np.int32),
        multiplier=scales[0].astype(np.int32),
        shift=scales[1].astype(np.uint8),
    )
    written = output_range(node, output)
    how = {
        "xor_mask": f"0x{0x80 * _BYTE if activation.signed else 0:08x}u",
        "input_offset": f"0x{(0x80 - shift) * _BYTE if activation.signed else 0:08x}u",
        "value_words": value_words,
        "rounding": rounding_constant_of(written),
        "zero_copy": int(whole_words(geometry)),
    }
    function = f"conv2d_{variant(kernel, geometry)}"
    return Form(
        "conv2d_tiled",
        {**geometry.members(), "output": written, **how},
        weights,
        kernel.scratch_words(taps, len(rows), geometry.positions),
        variant=function,
        unit=f"mico_{function}",
    )


def requantisation(node: QNode, output: QType, products: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Multipliers and shifts with which 32 bits of the product are enough; None when a channel's numbers are too large for it.

    With M = m * 2^e and acc' = acc * 2^k, floor(acc' * M / 2^32) is the high word of one multiplication, and
    r = (high + 2^(t-1)) >> t with t = e + k + s - 32 >= 1 is exactly (acc * m + 2^(s-1)) >> s. M < 2^31; its low five bits hold k.
    e is as large as it can be while all outputs, shifted up by t, are below 2^30.
    To signed bits M is almost 2^31, so that high >> 1 is 0 or more, or -2 or less, as acc is.

    Args:
        products: int64 (outputs,), the largest absolute sum of products of each channel.
    """
    multiplier, shift = (np.broadcast_to(v, len(products)).astype(np.int64) for v in scaling_of(node))
    if output.is_sign:
        multiplier, shift, left = (np.full_like(multiplier, v) for v in (SIGN_FACTOR, 1, SIGN_LEFT))
    else:
        up = HIGH_BITS - 1 - np.floor(np.log2(multiplier)).astype(np.int64)
        most = HIGH_BITS - rounding_constant(output.qmax, False).bit_length()  # of t
        up = np.clip(most + WORD - shift, LEFT_BITS, up)
        left = np.maximum(0, 1 - (up + shift - WORD))
        multiplier, shift = multiplier << up, up + left + shift - WORD
        if np.any(shift > most):
            return None
    largest = (products + np.abs(node.constants["bias"].astype(np.int64))) << left
    return None if np.any(largest >= 1 << HIGH_BITS) else (multiplier + left, shift)


def rounding_constant(high: int, is_sign: bool) -> int:
    """Twice the middle between a layer's largest output and what would be rounded to the next."""
    return 1 if is_sign else 2 * high + 1


def rounding_constant_of(written: Fields) -> int:
    """The same, of a struct's range of outputs."""
    high, is_sign = written["max"], written["sign"]
    assert isinstance(high, int)
    return rounding_constant(high, bool(is_sign))
