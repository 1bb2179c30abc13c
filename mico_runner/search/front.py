"""Pareto fronts, all objectives minimised."""

from __future__ import annotations

import numpy as np


def front(values: np.ndarray) -> np.ndarray:
    """Indices of the points (n, objectives) that no other one dominates, best first objective first.

    A point dominates another one when it is at most as high everywhere and lower somewhere. Of equal points the first stays.
    """
    order = np.lexsort((np.arange(len(values)), *values.T[::-1]))  # a point comes after all that dominate it
    kept: list[int] = []
    for i in order:
        if not kept or not (values[kept] <= values[i]).all(axis=1).any():
            kept.append(int(i))
    return np.array(kept, dtype=np.int64)
