"""The least product of two sums, such as energy times cycles, over choices of one option per group within a budget.

The product of two positive numbers is quasi-concave: over the convex hull of all pairs of sums that choices reach, it is least at a corner,
which is a choice. So the best of the choices that minimise a weighted sum, for all weights, is the optimum, and these are found
two by two (Y. Aneja, K. Nair, "Bicriteria transportation problem", Management Science 1979).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mico_runner.codesign import knapsack
from mico_runner.codesign.knapsack import EXACT, Group


@dataclass(frozen=True)
class _Point:
    choice: np.ndarray
    first: float
    second: float

    @property
    def product(self) -> float:
        return self.first * self.second


def least(
    first: Sequence[np.ndarray], second: Sequence[np.ndarray], use: Sequence[np.ndarray], budgets: Sequence[float]
) -> tuple[np.ndarray, float] | None:
    """The choice with the least product of its sums, and that product; None: no choice keeps the budgets.

    Args:
        first, second: of each group, float64 (options,), above 0.
        use: of each group, float64 (options, resources).
    """

    def weighted(a: float, b: float) -> _Point | None:
        groups = [Group(a * x + b * y, w) for x, y, w in zip(first, second, use, strict=True)]
        found = knapsack.solve(groups, budgets)
        if found is None:
            return None
        of = [tuple(map(float, (x[i], y[i]))) for x, y, i in zip(first, second, found.choice, strict=True)]
        return _Point(found.choice, sum(x for x, _ in of), sum(y for _, y in of))

    scale = sum(float(y.max()) for y in second) / sum(float(x.max()) for x in first)
    left, right = weighted(scale, 1e-9), weighted(1e-9 * scale, 1.0)
    if left is None or right is None:
        return None
    best = min(left, right, key=lambda point: point.product)
    waiting = [(left, right)]
    while waiting:
        a, b = waiting.pop()
        if a.first >= b.first or b.second >= a.second or a.first * b.second >= best.product * (1 - EXACT):
            continue  # what lies between them has at least the first sum of one and the second of the other
        weight = (a.second - b.second) / (b.first - a.first)
        middle = weighted(weight, 1.0)
        if middle is None or weight * middle.first + middle.second >= (weight * a.first + a.second) * (1 - EXACT):
            continue
        best = min(best, middle, key=lambda point: point.product)
        waiting += [(a, middle), (middle, b)]
    return best.choice, best.product
