"""Real factors as integer multiplier and shift (`quant.qgraph`: 0 < multiplier < 2^22, 1 <= shift <= 52)."""

from __future__ import annotations

import numpy as np

from mico_runner.quant.qgraph import MULTIPLIER_BITS

MAX_SHIFT = 52


def multiplier_and_shift(factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int32 arrays with multiplier / 2^shift nearest to each positive factor, to 21 significant bits.

    Factors too large or small for the format saturate: any non-zero accumulator then clamps, or any rounds to zero, as it should.
    """
    factors = np.asarray(factors, dtype=np.float64)
    if not (np.isfinite(factors).all() and (factors > 0).all()):
        raise ValueError(f"requantisation factors must be positive and finite, found {factors}")
    _, exponent = np.frexp(factors)  # factor = m * 2^exponent, m in [0.5, 1)
    shift = np.clip(MULTIPLIER_BITS - exponent, 1, MAX_SHIFT)
    return _rounded(factors, shift)


def shared_shift(factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same for the operands of a sum: one multiplier each, one shift that fits the largest."""
    _, exponent = np.frexp(np.max(factors))
    shift = np.clip(MULTIPLIER_BITS - exponent, 1, MAX_SHIFT)
    multiplier, _ = _rounded(np.asarray(factors, dtype=np.float64), np.full(len(factors), shift))
    return multiplier, np.array([shift], dtype=np.int32)


def _rounded(factors: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    multiplier = np.clip(np.rint(np.ldexp(factors, shift)), 1, 2**MULTIPLIER_BITS - 1)
    return multiplier.astype(np.int32), shift.astype(np.int32)
