"""Latin hypercube: every dimension's range is covered evenly, however few the shapes are."""

from __future__ import annotations

import numpy as np

from mico_runner.profiling.samplers import CHOICES, distinct, register, shape

ROUNDS = 20  # redraws for repeated shapes before a range counts as exhausted


@register("lhs")
def lhs(kind: str, ranges: dict[str, list[int]], count: int, rng: np.random.Generator) -> list[dict[str, int]]:
    """Log-uniform Latin hypercube over the ranges (McKay et al. 1979), redrawn until `count` shapes are distinct."""
    found: list[dict[str, int]] = []
    for _ in range(ROUNDS):
        columns = {name: _column(name, limits, count, rng) for name, limits in ranges.items()}
        draws = [dict(zip(columns, map(int, row), strict=True)) for row in zip(*columns.values(), strict=True)]
        found = distinct(found + [shape(kind, values) for values in draws])
        if len(found) >= count:
            break
    return found[:count]


def _column(name: str, limits: list[int], count: int, rng: np.random.Generator) -> np.ndarray:
    """One value from each of `count` equal slices, in random order: (count,) whole numbers."""
    if name in CHOICES:
        slices = np.arange(count) * len(limits) // count
        return rng.permutation(np.asarray(limits)[slices])
    slices = rng.permutation((np.arange(count) + rng.random(count)) / count)
    low, high = np.log(limits[0]), np.log(limits[1] + 1)  # each whole number owns the interval up to the next one
    found: np.ndarray = np.minimum(np.exp(low + slices * (high - low)).astype(int), limits[1])
    return found
