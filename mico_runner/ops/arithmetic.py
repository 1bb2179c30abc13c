"""The integer arithmetic that operators share, in numpy, written to be obviously right. `quant.qgraph` states it in words."""

from __future__ import annotations

import numpy as np

from mico_runner.ops.node import MULTIPLIER_BITS, QNode, QType, scaling_of

MAX_SHIFT = 52


def windows(
    x: np.ndarray,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    fill: int,
    dilation: tuple[int, int] = (1, 1),
) -> np.ndarray:
    """(N, C, Ho, Wo, kh, kw): the inputs under the kernel at every output position, `fill` outside the input."""
    (ph, pw), (sh, sw), (dh, dw) = padding, stride, dilation
    x = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)), constant_values=fill)
    extent = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    found: np.ndarray = np.lib.stride_tricks.sliding_window_view(x, extent, axis=(2, 3))
    strided: np.ndarray = found[:, :, ::sh, ::sw, ::dh, ::dw]
    return strided


def to_integers(x: np.ndarray, qtype: QType) -> np.ndarray:
    """Real values as the nearest integers of a type (float64 array of whole numbers), rounding half up like requantisation."""
    if qtype.is_sign:
        return np.where(x >= 0, 1.0, -1.0)
    return np.clip(np.floor(x / qtype.scale + 0.5), qtype.qmin, qtype.qmax)


def requantise(acc: np.ndarray, node: QNode, qtype: QType, channel_axis: int = 1) -> np.ndarray:
    """Accumulators as integers of the output type; `multiplier` and `shift` lie along the channel axis or have length 1."""
    shape = [1] * acc.ndim
    shape[channel_axis] = -1
    multiplier, shift = (array.astype(np.int64).reshape(shape) for array in scaling_of(node))
    return clamp(shifted(acc * multiplier, shift), acc, qtype, node.relu_max)


def shifted(product: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Division by 2^shift, rounding half up: an arithmetic shift of int64."""
    shift = np.asarray(shift, dtype=np.int64)
    rounded: np.ndarray = (product + (np.int64(1) << (shift - 1))) >> shift
    return rounded


def clamp(r: np.ndarray, acc: np.ndarray, qtype: QType, relu_max: int | None) -> np.ndarray:
    """Within the type's range; the sign of the accumulator for signed 1 bit."""
    if qtype.is_sign:
        return np.where(acc >= 0, 1, -1)
    clipped: np.ndarray = np.clip(r, qtype.qmin, qtype.qmax if relu_max is None else min(qtype.qmax, relu_max))
    return clipped


def multiplier_and_shift(factors: np.ndarray) -> dict[str, np.ndarray]:
    """Constants `multiplier` and `shift`, int32, with multiplier / 2^shift nearest to each positive factor, to 21 significant bits.

    Factors too large or small for the format saturate: any non-zero accumulator then clamps, or any rounds to zero, as it should.
    """
    factors = np.asarray(factors, dtype=np.float64)
    if not (np.isfinite(factors).all() and (factors > 0).all()):
        raise ValueError(f"requantisation factors must be positive and finite, found {factors}")
    _, exponent = np.frexp(factors)  # factor = m * 2^exponent, m in [0.5, 1)
    shift = np.clip(MULTIPLIER_BITS - exponent, 1, MAX_SHIFT)
    return {"multiplier": _rounded(factors, shift), "shift": shift.astype(np.int32)}


def shared_shift(factors: np.ndarray) -> dict[str, np.ndarray]:
    """The same for the operands of a sum: one multiplier each, one shift that fits the largest."""
    _, exponent = np.frexp(np.max(factors))
    shift = np.clip(MULTIPLIER_BITS - exponent, 1, MAX_SHIFT)
    multiplier = _rounded(np.asarray(factors, dtype=np.float64), np.full(len(factors), shift))
    return {"multiplier": multiplier, "shift": np.array([shift], dtype=np.int32)}


def shift_that_fits(*largest: tuple[int, float]) -> int:
    """The most, 1 .. 52, by which values can be shifted up: each pair is the bits that one may take, and its magnitude."""
    room = [bits - int(np.frexp(value)[1]) for bits, value in largest if value]
    return int(np.clip(min(room, default=1), 1, MAX_SHIFT))


def _rounded(factors: np.ndarray, shift: np.ndarray) -> np.ndarray:
    multiplier: np.ndarray = np.clip(np.rint(np.ldexp(factors, shift)), 1, 2**MULTIPLIER_BITS - 1).astype(np.int32)
    return multiplier
