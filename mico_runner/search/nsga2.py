"""NSGA-II (Deb et al. 2002) with pygmo's sorting and selection, a generation per batch of evaluations."""

from __future__ import annotations

import numpy as np

from mico_runner.search import register
from mico_runner.search.base import Searcher
from mico_runner.search.problem import Problem
from mico_runner.search.sampling import fill, repair
from mico_runner.search.space import Space

_STEP = 0.7  # share of mutations that move to a neighbouring bit-width; the rest are uniform
_ROUNDS = 10  # of breeding before missing offspring are drawn at random


@register(
    "nsga2",
    params={
        "population": {"type": "integer", "min": 4, "nullable": True, "default": None},
        "crossover": {"type": "float", "min": 0.0, "max": 1.0, "default": 0.9},
        "mutation": {"type": "float", "min": 0.0, "max": 1.0, "nullable": True, "default": None},
    },
)
class Nsga2(Searcher):
    """Evolution of a population towards the Pareto front (pygmo).

    Offspring beyond the cost constraints are repaired before they are evaluated; other constraints act by constrained domination.
    By default the population is twice the square root of the budget, and one layer mutates on average.
    """

    def __init__(
        self,
        problem: Problem,
        anchor: np.ndarray,
        rng: np.random.Generator,
        population: int | None = None,
        crossover: float = 0.9,
        mutation: float | None = None,
    ) -> None:
        super().__init__(problem, anchor, rng)
        self._anchor = anchor
        self._size = population or max(4, round(2 * problem.budget.evaluations**0.5))
        self._crossover = crossover
        self._mutation = mutation if mutation is not None else 1 / len(problem.space.layers)
        self._nearby = _nearby(problem.space)

    def ask(self, n: int) -> np.ndarray:
        wanted = min(n, self._size)
        if not len(self.configs):
            draws = self.sampler.draw(wanted, self.seen)
            half = len(draws) // 2  # the other half stays uniform: the cheap end of the front
            draws[:half] = fill(self.problem, draws[:half], self.rng)
            found = self.new(draws)
        else:
            found = self._offspring(wanted)
        known = self.seen | {row.tobytes() for row in found}
        return np.concatenate([found, self.sampler.draw(wanted - len(found), known)])

    def _offspring(self, wanted: int) -> np.ndarray:
        """(k, layers) distinct new configurations bred from the best told ones, k <= wanted."""
        parents = self.configs[self._best()]  # best first
        found = self.configs[:0]
        for _ in range(_ROUNDS):
            if len(found) == wanted:
                break
            children = self._breed(parents, 2 * wanted)
            found = self.new(np.concatenate([found, children]))[:wanted]
        return found

    def _best(self) -> np.ndarray:
        """Indices of the population among all told configurations, by rank, then crowding distance."""
        import pygmo

        values = self.problem.minimised(self.metrics)
        missed = self.problem.violation(self.metrics)
        spread = np.ptp(values, axis=0)
        # constrained domination: beyond every feasible point, and the further beyond the more is missed
        values = np.where(missed[:, None] > 0, values.max(axis=0) + spread + 1 + missed[:, None], values)
        if values.shape[1] == 1:
            return np.argsort(values[:, 0], kind="stable")[: self._size]
        if len(values) == 1:
            return np.zeros(1, dtype=np.int64)
        return pygmo.sort_population_mo(values)[: self._size].astype(np.int64)

    def _breed(self, parents: np.ndarray, count: int) -> np.ndarray:
        """(count, layers) children by binary tournaments, uniform crossover and mutation, within the cost constraints."""
        rng, layers = self.rng, parents.shape[1]
        pairs = rng.integers(0, len(parents), (2, count, 2)).min(axis=2)  # the better of two, parents being sorted
        crossed = (rng.random((count, 1)) < self._crossover) & (rng.random((count, layers)) < 0.5)
        children = np.where(crossed, parents[pairs[1]], parents[pairs[0]])
        mutated = rng.random((count, layers)) < self._mutation
        mutated[np.arange(count), rng.integers(0, layers, count)] |= ~mutated.any(axis=1)
        near = rng.random((count, layers)) < _STEP
        moved = np.where(near, self._neighbours(children), self.problem.space.sample(count, rng))
        return repair(self.problem, np.where(mutated, moved, children), self._anchor, rng)

    def _neighbours(self, configs: np.ndarray) -> np.ndarray:
        """(P, layers) for each layer one of the allowed choices with the nearest number of bits on one axis."""
        options = self._nearby
        pick = (self.rng.random(configs.shape) * options[1][np.arange(configs.shape[1]), configs]).astype(np.int64)
        return options[0][np.arange(configs.shape[1]), configs, pick]


def _nearby(space: Space) -> tuple[np.ndarray, np.ndarray]:
    """(layers, choices, 4) allowed choices one step up or down in weight or activation bits, and how many there are."""
    layers, choices = space.mask.shape
    table = np.zeros((layers, choices, 4), dtype=np.int64)
    count = np.zeros((layers, choices), dtype=np.int64)
    for layer, allowed in enumerate(space.allowed):
        for choice in allowed:
            near = []
            for axis in (0, 1):
                same = [
                    i for i in allowed if space.choices[i][1 - axis] == space.choices[choice][1 - axis] and i != choice
                ]
                mine = space.choices[choice][axis]
                lower = [i for i in same if space.choices[i][axis] < mine]
                upper = [i for i in same if space.choices[i][axis] > mine]
                near += [max(lower, key=lambda i: space.choices[i][axis])] if lower else []
                near += [min(upper, key=lambda i: space.choices[i][axis])] if upper else []
            near = near or [choice]
            table[layer, choice, : len(near)] = near
            count[layer, choice] = len(near)
    return table, count
