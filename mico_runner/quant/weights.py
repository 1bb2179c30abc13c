"""Weight quantisers: real weights -> small integers and a scale per output channel, w = scale * q.

1 bit      q = sign(w), scale = mean |w|: the least squared error that two values +-scale can reach (Rastegari et al. 2016)
ternary    q = -1, 0, +1
2..8 bits  q = -2^(b-1) .. 2^(b-1) - 1

A channel without weights has no scale of its own: 0 here, and `quant.bias` gives it one that suits its bias.
"""

from __future__ import annotations

import numpy as np

from mico_runner.quant.qgraph import TERNARY

GRID = np.linspace(0.1, 1.0, 91)  # candidate scales, as parts of the min-max scale
CHUNK = 2**16  # weights tried at once
NEGLIGIBLE = 2.0**-12  # of the layer's largest weight: rounds to zero at 8 bits, too, and with the least scale of GRID


def weight_range(bits: float) -> tuple[int, int]:
    """Least and greatest integer weight."""
    if bits in (1, TERNARY):
        return -1, 1
    return -(1 << (int(bits) - 1)), (1 << (int(bits) - 1)) - 1


def without_weights(weight: np.ndarray, granularity: str) -> np.ndarray:
    """bool (Cout,): the channels whose weights are all zero, or negligible beside the layer's largest where all share one scale.

    At 1 bit such a channel of the shared scale would be given weights as large as those of the others.
    """
    sizes = np.abs(weight.reshape(len(weight), -1)).max(1)
    empty: np.ndarray = sizes <= (NEGLIGIBLE * float(sizes.max()) if granularity == "tensor" else 0.0)
    return empty


def weight_scales(weight: np.ndarray, bits: float, granularity: str, method: str) -> np.ndarray:
    """float64 scale per output channel (Cout,), 0 for those `without_weights`.

    Args:
        weight: (Cout, ...).
        granularity: "channel", or "tensor" for one scale for all channels that have weights.
        method: "mse", the scale of least squared rounding error, or "minmax", the least scale that clips nothing.
    """
    live = ~without_weights(weight, granularity)
    scales = np.zeros(len(weight))
    if live.any():
        rows = weight.reshape(len(weight), -1).astype(np.float64)[live]
        scales[live] = _live_scales(rows if granularity == "channel" else rows.reshape(1, -1), bits, method)
    return scales


def _live_scales(rows: np.ndarray, bits: float, method: str) -> np.ndarray:
    if bits == 1:
        sizes: np.ndarray = np.abs(rows).mean(1)
        return sizes
    low, high = weight_range(bits)
    scales = np.maximum(rows.max(1) / high, rows.min(1) / low)
    return _least_error(rows, scales, low, high) if method == "mse" else scales


def round_weights(weight: np.ndarray, scales: np.ndarray, bits: float) -> np.ndarray:
    """int8 of the weight's shape: the nearest integers in range, 0 where the scale is 0; for 1 bit the sign, +1 for zero."""
    if bits == 1:
        return np.where(weight >= 0, 1, -1).astype(np.int8)
    steps = weight / np.where(scales > 0, scales, np.inf).reshape(-1, *[1] * (weight.ndim - 1))
    return np.clip(np.rint(steps), *weight_range(bits)).astype(np.int8)


def _least_error(rows: np.ndarray, widest: np.ndarray, low: int, high: int) -> np.ndarray:
    """For each row the scale of least squared rounding error; some rows at once, which stay in the cache for all candidates."""
    best = widest.copy()
    step = max(1, CHUNK // rows.shape[1])
    for at in (slice(start, start + step) for start in range(0, len(rows), step)):
        best_error = np.full(len(rows[at]), np.inf)
        for part in GRID:
            scales = part * widest[at]
            q = rows[at] / scales[:, None]
            np.clip(np.rint(q, out=q), low, high, out=q)
            q *= scales[:, None]
            q -= rows[at]
            q *= q
            error = q.sum(1)
            best[at] = np.where(error < best_error, scales, best[at])
            best_error = np.minimum(error, best_error)
    return best
