"""The least sum of costs, one option of each group, within budgets: a multiple-choice knapsack with a proof.

1. Options that another one of their group beats in cost and in every resource are left out.
2. Prices of the resources come from the linear relaxation. Whatever the prices, the sum over the groups of the least cost plus price,
   less the price of the budgets, is a lower bound (A. Geoffrion, "Lagrangean relaxation for integer programming", 1974), and so is
   that sum with one group's option given: what an option adds to it is its *excess*.
3. Groups are joined one by one. A partial choice is dropped when its excess says that it ends above the best choice known, when the
   rest cannot stay within a budget, or when another one costs and uses no more (D. Pisinger, "A minimal algorithm for the
   multiple-choice knapsack problem", EJOR 1995).

A first pass keeps only the most promising partial choices: its result is the best choice known of the second pass, which drops nothing
else. The bounds are sums of this file's own, so that a proof does not rest on a solver's tolerances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_matrix

from mico_runner.errors import StepError

SLACK = 1e-9  # share of a budget by which it counts as kept: sums of decimal numbers miss their own value by less
EXACT = 1e-12  # share of the optimum by which another choice may be better and be dropped: rounding of sums
_BEAM = 2_000  # partial choices that the first pass keeps
_MOST = 3_000_000  # partial choices of the second pass, which bounds its memory
_CHUNK = 2_000_000  # pairs of partial choice and option looked at together


@dataclass(frozen=True)
class Group:
    """Options of which one is taken.

    Attributes:
        cost: float64 (options,), what is minimised.
        use: float64 (options, resources), not negative.
    """

    cost: np.ndarray
    use: np.ndarray


@dataclass(frozen=True)
class Solution:
    """The best choice and what proves it.

    Attributes:
        choice: option of each group, int64 (groups,).
        value: its cost.
        bound: no choice within the budgets costs less.
        joined: partial choices looked at.
    """

    choice: np.ndarray
    value: float
    bound: float
    joined: int

    @property
    def gap(self) -> float:
        """Share of the value by which another choice might still be better; 0: none is."""
        return 0.0 if self.value <= self.bound * (1 + 2 * EXACT) else (self.value - self.bound) / abs(self.value)


def solve(groups: Sequence[Group], budgets: Sequence[float]) -> Solution | None:
    """The choice of least cost whose uses add up to at most `budgets`; None: no choice keeps them.

    Raises:
        StepError: more partial choices are undecided than are kept in memory.
    """
    limits = np.asarray(budgets, dtype=float) * (1 + SLACK)
    least = np.array([group.use.min(axis=0) for group in groups])
    if (least.sum(axis=0) > limits).any():
        return None
    kept = [_undominated(group, limits - (least.sum(axis=0) - low)) for group, low in zip(groups, least, strict=True)]
    if not all(map(len, kept)):  # every option of a group takes too much of one resource or another
        return None
    small = [Group(group.cost[at], group.use[at]) for group, at in zip(groups, kept, strict=True)]
    prices = _prices(small, limits)
    order = sorted(range(len(small)), key=lambda g: -len(small[g].cost))
    join = _Join([small[g] for g in order], limits, prices)
    first = join.run(np.inf, _BEAM)
    found, joined, value = first.options, first.joined, first.value
    if first.cut:
        second = join.run(first.value, None)
        joined += second.joined
        if second.options is not None:
            found, value = second.options, second.value
    if found is None:
        return None
    choice = np.empty(len(groups), dtype=np.int64)
    for at, option in zip(order, found, strict=True):
        choice[at] = kept[at][option]
    return Solution(choice, value, value * (1 - EXACT) if value > 0 else value, joined)


def bound(groups: Sequence[Group], budgets: Sequence[float]) -> float:
    """What every choice within the budgets costs at least, by the linear relaxation's prices; inf: there is none."""
    limits = np.asarray(budgets, dtype=float) * (1 + SLACK)
    if (sum(group.use.min(axis=0) for group in groups) > limits).any():
        return float("inf")
    prices = _prices(groups, limits)
    return float(sum((g.cost + g.use @ prices).min() for g in groups) - prices @ limits)


def _undominated(group: Group, room: np.ndarray) -> np.ndarray:
    """Options that fit the room that others leave at best, none of which another one beats everywhere."""
    at = np.flatnonzero((group.use <= room).all(axis=1))
    values = np.column_stack([group.cost[at], group.use[at]])
    values, first = np.unique(
        values, axis=0, return_index=True
    )  # sorted by cost: only earlier ones can beat later ones
    kept = np.empty((0, values.shape[1]))
    taken = []
    for index, row in enumerate(values):
        if not (kept <= row).all(axis=1).any():
            kept = np.vstack([kept, row])
            taken.append(index)
    return np.asarray(at[first[taken]], dtype=np.int64)


def _prices(groups: Sequence[Group], limits: np.ndarray) -> np.ndarray:
    """Prices of the resources (resources,), from the linear relaxation; any prices from 0 give a bound, the best ones the highest."""
    cost = np.concatenate([group.cost for group in groups])
    use = np.concatenate([group.use for group in groups]) / np.where(limits > 0, limits, 1.0)
    owner = np.repeat(np.arange(len(groups)), [len(group.cost) for group in groups])
    one_each = csr_matrix((np.ones(len(owner)), (owner, np.arange(len(owner)))), shape=(len(groups), len(owner)))
    scale = max(float(np.abs(cost).max()), 1e-300)
    bounded = np.where(limits > 0, 1.0, 0.0)
    solved = linprog(cost / scale, A_ub=use.T, b_ub=bounded, A_eq=one_each, b_eq=np.ones(len(groups)), method="highs")
    if solved.status != 0:
        return np.zeros(len(limits))
    prices: np.ndarray = np.maximum(0.0, -solved.ineqlin.marginals) * scale / np.where(limits > 0, limits, 1.0)
    return prices


@dataclass(frozen=True)
class _Run:
    options: np.ndarray | None
    value: float
    joined: int
    cut: bool  # whether partial choices were dropped that might have been the best


class _Join:
    """Joins groups one by one; see the text above."""

    def __init__(self, groups: list[Group], limits: np.ndarray, prices: np.ndarray) -> None:
        self.groups, self.limits = groups, limits
        priced = [group.cost + group.use @ prices for group in groups]
        self.excess = [values - values.min() for values in priced]
        self.floor = float(sum(values.min() for values in priced) - prices @ limits)
        least = np.array([group.use.min(axis=0) for group in groups] + [np.zeros(len(limits))])
        self.rest_use = np.cumsum(least[::-1], axis=0)[::-1][1:]
        cheapest = np.array([group.cost.min() for group in groups] + [0.0])
        self.rest_cost = np.cumsum(cheapest[::-1])[::-1][1:]

    def run(self, best: float, width: int | None) -> _Run:
        """The best choice below `best`; `width`: partial choices that are kept, None: all that may still be the best."""
        below = best * (1 - EXACT) if np.isfinite(best) and best > 0 else best
        cost, use, excess = np.zeros(1), np.zeros((1, len(self.limits))), np.zeros(1)
        steps: list[tuple[np.ndarray, np.ndarray]] = []
        joined, cut = 0, False
        for number, group in enumerate(self.groups):
            joined += len(cost) * len(group.cost)
            state, option = self._children(number, cost, use, excess, below)
            cost, use = cost[state] + group.cost[option], use[state] + group.use[option]
            excess = excess[state] + self.excess[number][option]
            kept = _cheapest(cost, use, last=number == len(self.groups) - 1)
            if width is not None and len(kept) > width:
                kept, cut = kept[np.argsort(excess[kept], kind="stable")[:width]], True
            elif len(kept) > _MOST:
                raise StepError(
                    f"codesign: {len(kept):,} partial choices of {number + 1} of {len(self.groups)} groups are undecided; "
                    f"allowed: {_MOST:,}; fewer options or tighter limits make them fewer"
                )
            steps.append((state[kept], option[kept]))
            cost, use, excess = cost[kept], use[kept], excess[kept]
        if not len(cost):
            return _Run(None, best, joined, cut)
        at = int(cost.argmin())
        value, options = float(cost[at]), []
        for state, option in reversed(steps):
            options.append(int(option[at]))
            at = int(state[at])
        return _Run(np.array(options[::-1]), value, joined, cut)

    def _children(
        self, number: int, cost: np.ndarray, use: np.ndarray, excess: np.ndarray, below: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of a partial choice and an option of the next group that may still be the best."""
        group, own = self.groups[number], self.excess[number]
        room = self.limits - self.rest_use[number]
        chunk = max(1, _CHUNK // len(own))
        states, options = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
        for start in range(0, len(cost), chunk):
            part = slice(start, start + chunk)
            good = np.ones((len(cost[part]), len(own)), dtype=bool)
            if np.isfinite(below):
                good &= self.floor + excess[part, None] + own <= below
                good &= cost[part, None] + group.cost + self.rest_cost[number] <= below
            for resource in range(len(self.limits)):
                good &= use[part, resource, None] + group.use[:, resource] <= room[resource]
            state, option = np.nonzero(good)
            states.append(state + start)
            options.append(option)
        return np.concatenate(states), np.concatenate(options)


def _cheapest(cost: np.ndarray, use: np.ndarray, last: bool) -> np.ndarray:
    """Partial choices that no other one beats in cost and uses; with several resources those that are equal to another, only."""
    if last:
        return np.array([cost.argmin()]) if len(cost) else np.empty(0, dtype=np.int64)
    if use.shape[1] == 1:
        order = np.lexsort((cost, use[:, 0]))
        ranked = cost[order]
        before = np.concatenate([[np.inf], np.minimum.accumulate(ranked)[:-1]]) if len(ranked) else ranked
        return np.asarray(order[ranked < before])
    return np.unique(np.column_stack([cost, use]), axis=0, return_index=True)[1]
