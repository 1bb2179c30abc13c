"""A quick allocation under one limit: the relaxed knapsack, rounded."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from mico_runner.search.space import Space


def relaxed(space: Space, table: np.ndarray, cost: np.ndarray, highest: float) -> np.ndarray | None:
    """(layers,) a configuration of a low sum of `table` whose sum of `cost`, both (layers, choices), stays within `highest`.

    Each layer begins at its least cost; then steps along the lower convex hull of its choices are taken, of all layers the steepest
    first, as far as they fit: the solution of the linear relaxation (P. Sinha, A. Zoltners, "The Multiple-Choice Knapsack Problem", 1979),
    which is worse than the best integer one by less than one step. None where not even the least costs fit.
    """
    config = np.zeros(len(space.layers), dtype=np.int64)
    steps = []
    spent = 0.0
    for layer, allowed in enumerate(space.allowed):
        choices = np.array(allowed)
        hull = _hull(cost[layer, choices], table[layer, choices])
        config[layer] = choices[hull[0]]
        spent += float(cost[layer, config[layer]])
        for before, after in pairwise(hull):
            price = float(cost[layer, choices[after]] - cost[layer, choices[before]])
            gain = float(table[layer, choices[before]] - table[layer, choices[after]])
            steps.append((-gain / max(price, 1e-300), layer, int(choices[before]), int(choices[after]), price))
    if spent > highest * (1 + 1e-12):
        return None
    for _, layer, before, after, price in sorted(steps):
        if config[layer] == before and spent + price <= highest:
            config[layer], spent = after, spent + price
    return config


def _hull(cost: np.ndarray, value: np.ndarray) -> list[int]:
    """Indices of the lower convex hull, from the least cost to the least value."""
    kept: list[int] = []
    for i in np.lexsort((value, cost)).tolist():
        if kept and value[i] >= value[kept[-1]]:
            continue
        while len(kept) > 1 and _above(cost, value, kept[-2], kept[-1], i):
            kept.pop()
        kept.append(i)
    return kept


def _above(cost: np.ndarray, value: np.ndarray, a: int, b: int, c: int) -> bool:
    """Whether b lies on or above the line from a to c."""
    return bool((value[b] - value[a]) * (cost[c] - cost[a]) >= (value[c] - value[a]) * (cost[b] - cost[a]))
