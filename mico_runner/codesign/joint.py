"""Bits of each layer and an accelerator together: bound and prune over designs, a knapsack over bits in each.

1. Every design gets a lower bound: of each layer at each pair of bits (`bounds`, or, where a cost model has one value, that value), and
   from these of the network, by prices of the noise (`knapsack`), all designs at once.
2. The design with the least bound is taken next. Its bits are chosen on bounds; the layers that were chosen are mapped, their costs
   take the bounds' place, and so on until the bits chosen are all mapped: no other bits are better on this design. It is left as soon as
   its value exceeds that of the best design.
3. The search ends when every design left has a bound above the best value, or above all but the share of it that the spec allows.

The certificate's bound is the least bound of any design, those that were mapped included: it holds for every mapping, also those that the
mapper has not seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mico_runner.codesign import knapsack, product
from mico_runner.codesign.heuristics import Genes
from mico_runner.codesign.layer_costs import Costs, Task
from mico_runner.errors import UsageError

OBJECTIVES = ("cycles", "energy", "edp")
EVALUATED, CUT, OPEN, IMPOSSIBLE = "mapped", "cut by bound", "open", "no mapping"
_PRICES = (0.0, 0.25, 0.5, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0, 4.0)  # times the base's price of noise


@dataclass(frozen=True)
class Result:
    """The best design and what proves it.

    Attributes:
        design: its number.
        pairs: of each layer, (layers,).
        value, bound: reached, and what no design and no mapping can beat.
        bounds: of each design, (designs,).
        values: of each design that was mapped to the end; NaN for others, also those left as soon as they were above the best one.
        status: of each design.
        mapped: layers that were mapped.
    """

    design: int
    pairs: np.ndarray
    value: float
    bound: float
    bounds: np.ndarray
    values: np.ndarray
    status: np.ndarray
    mapped: int

    @property
    def gap(self) -> float:
        """Share of the value by which another design, or another mapping, might still be better."""
        return 0.0 if self.value <= self.bound * (1 + 2 * knapsack.EXACT) else 1 - self.bound / self.value

    @property
    def open(self) -> int:
        return int((self.status == OPEN).sum())


def search(
    costs: Costs, gap: float = 0.0, most: int | None = None, said: Callable[[str], None] | None = None
) -> Result:
    """The best design, and the bits of each layer on it.

    Args:
        gap: share of the value by which a design that is left out may be better.
        most: designs that are mapped.
        said: is given every design that is better than those before.

    Raises:
        UsageError: no design runs the network.
    """
    task, count = costs.task, len(costs.designs)
    lower = screened(costs)
    status = np.full(count, OPEN, dtype=object)
    values = np.full(count, np.nan)
    best: tuple[float, int, np.ndarray] | None = None
    tried = 0
    for design in np.argsort(lower, kind="stable"):
        design = int(design)
        limit = np.inf if best is None else best[0]
        if lower[design] >= limit * (1 - gap):
            status[design] = CUT if lower[design] >= limit * (1 - knapsack.EXACT) else OPEN
            continue
        if most is not None and tried >= most:
            continue
        tight = chosen(task, costs.which, costs.bound_of(design), costs.objective)
        if tight is None:
            raise UsageError("codesign: no bits keep the limit of noise; allowed: more bits, or a higher limit")
        lower[design] = max(lower[design], tight[1] * (1 - knapsack.EXACT))
        if lower[design] >= limit * (1 - gap):
            status[design] = CUT if lower[design] >= limit * (1 - knapsack.EXACT) else OPEN
            continue
        tried += 1
        try:
            found = _mapped(costs, design, limit)
        except UsageError:
            status[design], lower[design] = IMPOSSIBLE, np.inf
            continue
        status[design] = EVALUATED
        if found is None:
            continue
        pairs, value = found
        values[design] = value
        if costs.exact:
            lower[design] = value * (1 - knapsack.EXACT)
        if value < limit:
            best = (value, design, pairs)
            if said:
                said(f"{costs.objective} {value:.6g}: {costs.designs.described(design)}")
    if best is None:
        raise UsageError("codesign: no design of the space runs every layer; allowed: larger memories")
    value, design, pairs = best
    status[(status == OPEN) & (lower >= value * (1 - knapsack.EXACT))] = CUT
    return Result(design, pairs, value, float(min(lower.min(), value)), lower, values, status.astype(str), costs.mapped)


def screened(costs: Costs) -> np.ndarray:
    """A lower bound of the network on every design, (designs,), all at once: prices of the noise as of the first design's bounds."""
    tables, row = costs.distinct()
    share = np.bincount(costs.which, minlength=len(costs.first)).astype(float)
    wanted = {"cycles": (0,), "energy": (1,), "edp": (0, 1)}[costs.objective]
    found = np.ones(len(tables))
    for column in wanted:
        table = tables[:, column]
        finite = np.where(np.isfinite(table), table, 0.0)
        scale = finite.max(axis=2) @ share
        spread = costs.task.noise.max() * len(costs.which)
        best = np.full(len(tables), -np.inf)
        for price in _PRICES:
            each = price * scale / spread * _price_unit(costs.task)
            priced = (table + each[:, None, None] * costs.task.noise).min(axis=2) @ share
            best = np.maximum(best, priced - each * costs.task.limit * (1 + knapsack.SLACK))
        found = found * best
    return np.asarray(found[row])


def _price_unit(task: Task) -> float:
    """Brings prices to where a typical table's are: the limit is a small share of the most noise."""
    return float(task.noise.max() * len(task.table) / task.limit)


def chosen(task: Task, which: np.ndarray, table: np.ndarray, objective: str) -> tuple[np.ndarray, float] | None:
    """The pair of each layer with the least objective within the limit of noise, and its value; None: no pairs keep it.

    Args:
        which: the different layer that each layer is.
        table: (2, different layers, bits).
    """
    use = [task.noise[:, None]] * len(which)
    cycles, energy = ([table[number, layer] for layer in which] for number in (0, 1))
    if objective == "edp":
        if not np.isfinite(table).all():
            return np.zeros(len(which), dtype=np.int64), float("inf")
        return product.least(cycles, energy, use, [task.limit])
    found = knapsack.solve(
        [
            knapsack.Group(cost, noise)
            for cost, noise in zip(cycles if objective == "cycles" else energy, use, strict=True)
        ],
        [task.limit],
    )
    return None if found is None else (found.choice, found.value)


def best_pairs(costs: Costs, design: int) -> tuple[np.ndarray, float] | None:
    """The best bits on one design, and their value; None where no mapping or no bits are there."""
    try:
        return _mapped(costs, design, np.inf)
    except UsageError:
        return None


def genes(costs: Costs) -> Genes:
    """The space as heuristics see it, where all values are known: a gene per key of the designs and per layer.

    They begin with the first design and the pairs of least noise.
    """
    designs, task, layers = costs.designs, costs.task, costs.which
    sizes = [len(values) for values in designs.values]
    number = np.full(sizes, -1)
    number[tuple(designs.points.T)] = np.arange(len(designs))

    def values(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        design = number[tuple(points[:, : len(sizes)].T)]
        pairs = points[:, len(sizes) :]
        table = costs.lower[design]
        sums = [table[np.arange(len(points))[:, None], part, layers, pairs].sum(axis=1) for part in (0, 1)]
        value = {"cycles": sums[0], "energy": sums[1], "edp": sums[0] * sums[1]}[costs.objective]
        noise = task.noise[pairs].sum(axis=1)
        excess = np.where(noise <= task.limit * (1 + knapsack.SLACK), 0.0, noise / task.limit - 1)
        return np.where(design >= 0, value, np.inf), np.where(design >= 0, excess, 1.0)

    first = np.concatenate([designs.points[0], np.full(len(layers), int(task.noise.argmin()))])
    return Genes(np.array([*sizes, *[len(task.bits)] * len(layers)]), values, first)


def _mapped(costs: Costs, design: int, limit: float) -> tuple[np.ndarray, float] | None:
    """The best pairs on a design, all mapped, and their value; None: it is not below the limit. Raises UsageError: no mapping."""
    while True:
        table, done = costs.known(design)
        found = chosen(costs.task, costs.which, table, costs.objective)
        if found is None or found[1] >= limit:
            return None
        wanted = np.unique(np.column_stack([costs.which, found[0]]), axis=0)
        missing = wanted[~done[wanted[:, 0], wanted[:, 1]]]
        if not len(missing):
            return found
        costs.evaluate(design, missing[:, 0], missing[:, 1])
