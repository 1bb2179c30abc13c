"""Which networks a new device should measure, before anything is known of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

NOISE = 0.03  # variance of a measurement, of a prior of mean variance 1: keeps the choice off networks that are nearly alike


def d_optimal(features: np.ndarray, covariance: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Positions of networks whose measurements together have the largest determinant of their covariance, greedily.

    That is D-optimality for a Gaussian prior (K. Chaloner and I. Verdinelli, "Bayesian experimental design: a review", Statistical
    Science 1995): the next one is always that of which least is known.

    Args:
        features: of the candidates, float64 (networks, features), centred.
        covariance: of the costs, float64 (features, features).
        count: at most the number of candidates.
    """
    projected = features @ covariance
    unknown = (projected * features).sum(axis=1)
    scale = max(float(unknown.mean()), np.finfo(float).tiny)
    unknown = unknown / scale
    chosen: list[int] = []
    factors: list[np.ndarray] = []
    for _ in range(min(count, len(features))):
        free = unknown.copy()
        free[chosen] = -np.inf
        best = int(free.argmax())
        column = projected @ features[best] / scale
        for factor in factors:
            column -= factor * factor[best]
        column /= np.sqrt(max(unknown[best], 0.0) + NOISE)
        factors.append(column)
        unknown = unknown - column**2
        chosen.append(best)
    return np.array(chosen, dtype=int)


def at_random(features: np.ndarray, covariance: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Positions of networks drawn at random; arguments as of `d_optimal`."""
    return rng.permutation(len(features))[:count]


CHOOSERS: dict[str, Callable[[np.ndarray, np.ndarray, int, np.random.Generator], np.ndarray]] = {
    "d_optimal": d_optimal,
    "random": at_random,
}
