"""Weight quantisers: real weights -> small integers and a scale per output channel, w = scale * q.

1 bit      q = sign(w), scale = mean |w|: the least squared error that two values +-scale can reach (Rastegari et al. 2016)
ternary    q = -1, 0, +1
2..8 bits  q = -2^(b-1) .. 2^(b-1) - 1
"""

from __future__ import annotations

import numpy as np

from mico_runner.quant.qgraph import TERNARY

GRID = np.linspace(0.1, 1.0, 91)  # candidate scales, as parts of the min-max scale


def weight_range(bits: float) -> tuple[int, int]:
    """Least and greatest integer weight."""
    if bits in (1, TERNARY):
        return -1, 1
    return -(1 << (int(bits) - 1)), (1 << (int(bits) - 1)) - 1


def weight_scales(weight: np.ndarray, bits: float, granularity: str, method: str) -> np.ndarray:
    """float64 scale per output channel (Cout,).

    Args:
        weight: (Cout, ...).
        granularity: "channel", or "tensor" for one scale everywhere.
        method: "mse", the scale of least squared rounding error, or "minmax", the least scale that clips nothing.

    A channel of zeros gets scale 1.
    """
    rows = weight.reshape(len(weight), -1) if granularity == "channel" else weight.reshape(1, -1)
    rows = rows.astype(np.float64)
    low, high = weight_range(bits)
    if bits == 1:
        scales = np.abs(rows).mean(1)
    else:
        scales = np.maximum(rows.max(1) / high, rows.min(1) / low)
        if method == "mse":
            scales = _least_error(rows, scales, low, high)
    scales = np.where(scales > 0, scales, 1.0)
    return np.broadcast_to(scales, len(weight)).copy()


def round_weights(weight: np.ndarray, scales: np.ndarray, bits: float) -> np.ndarray:
    """int8 of the weight's shape: the nearest integers in range; for 1 bit the sign, +1 for zero."""
    if bits == 1:
        return np.where(weight >= 0, 1, -1).astype(np.int8)
    steps = weight / scales.reshape(-1, *[1] * (weight.ndim - 1))
    return np.clip(np.rint(steps), *weight_range(bits)).astype(np.int8)


def _least_error(rows: np.ndarray, widest: np.ndarray, low: int, high: int) -> np.ndarray:
    best, best_error = widest, np.full(len(rows), np.inf)
    safe = np.where(widest > 0, widest, 1.0)
    for part in GRID:
        scales = part * safe
        q = np.clip(np.rint(rows / scales[:, None]), low, high)
        error = ((q * scales[:, None] - rows) ** 2).sum(1)
        best = np.where(error < best_error, part * widest, best)
        best_error = np.minimum(error, best_error)
    return best
