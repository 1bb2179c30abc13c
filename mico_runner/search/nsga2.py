"""NSGA-II (Deb et al. 2002) with pygmo's sorting and selection, a generation per batch of evaluations."""

from __future__ import annotations

import numpy as np

from mico_runner.search import register
from mico_runner.search.base import Searcher
from mico_runner.search.problem import Problem
from mico_runner.search.sampling import fill, repair
from mico_runner.search.space import Space
from mico_runner.search.surrogate import AdditiveSurrogate, loss_limit

_STEP = 0.7  # share of mutations that move to a neighbouring bit-width; the rest are uniform
_IMAGINED = 30  # generations on the surrogate between two that are evaluated
_BROOD = 4  # children per parent in them


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

    Offspring beyond the cost constraints are repaired; other constraints act by constrained domination. Between two
    evaluated generations the population evolves on an additive surrogate of the loss; the best of that are evaluated.
    By default the population is the square root of the budget, and one layer mutates on average.
    """

    def __init__(
        self,
        problem: Problem,
        feasible_start: np.ndarray,
        rng: np.random.Generator,
        population: int | None = None,
        crossover: float = 0.9,
        mutation: float | None = None,
    ) -> None:
        super().__init__(problem, feasible_start, rng)
        self._size = population or max(4, round(problem.budget.evaluations**0.5))
        self._crossover = crossover
        self._mutation = mutation if mutation is not None else 1 / len(problem.space.layers)
        self._nearby = _nearby(problem.space)
        self._surrogate = AdditiveSurrogate(problem.space)
        self._drawn = False  # the first generation

    def ask(self, n: int) -> np.ndarray:
        wanted = min(n, self._size)
        if not len(self.configs):
            return self.start[None]
        base = self.new(self.problem.space.base[None])
        if len(self.configs) == 1 and len(base) and n > self._size:
            return base  # the origin of the surrogate, worth an evaluation where children will be bred by it
        if not self._drawn:
            self._drawn = True
            draws = self.sampler.draw(wanted, self.seen)
            half = len(draws) // 2  # the other half stays uniform: the cheap end of the front
            draws[:half] = fill(self.problem, draws[:half], self.rng)
            found = self.problem.affordable_ones(self.new(draws), wanted)
        else:
            found = self._offspring(wanted)
        known = self.seen | {row.tobytes() for row in found}
        return np.concatenate([found, self.sampler.draw(wanted - len(found), known)])

    def _offspring(self, wanted: int) -> np.ndarray:
        """(k, layers) distinct new configurations bred from the best observed ones, k <= wanted."""
        parents = self.configs[self._sorted(self.problem.minimised(self.metrics), self.problem.violation(self.metrics))]
        self._surrogate.fit(self.configs, self.observed_loss)
        pool = parents[: self._size]
        for _ in range(_IMAGINED):
            pool = np.unique(np.concatenate([pool, self._breed(pool, _BROOD * self._size)]), axis=0)
            pool = pool[self._expected_order(pool)][: _BROOD * self._size]
        children = self.new(pool)
        if not len(children):
            return children
        return self.problem.affordable_ones(children[self._expected_order(children)], wanted)

    def _expected_order(self, configs: np.ndarray) -> np.ndarray:
        """Indices as `_sorted`, by what the surrogate and the cost tables expect of configurations that were not evaluated."""
        loss = self._surrogate.predict(configs)
        costs = {name: self.problem.cost(name, configs) for name in self.problem.costs}
        known = [o for o in self.problem.objectives if o.metric in costs]
        values = [loss, *(o.sign * costs[o.metric] for o in known)]
        missed = self.problem.violation(costs) if costs else np.zeros(len(configs))
        highest = loss_limit(self.problem, self.metrics)
        if highest is not None:
            missed = missed + np.maximum(loss - highest, 0.0)
        return self._sorted(np.stack(values, axis=1), missed)

    def _sorted(self, values: np.ndarray, missed: np.ndarray) -> np.ndarray:
        """Indices by non-domination rank, then crowding distance. values (P, objectives) lower is better, missed (P,)."""
        import pygmo

        # constrained domination: beyond every feasible point, and the further beyond the more is missed
        beyond = values.max(axis=0) + np.ptp(values, axis=0) + 1 + missed[:, None]
        values = np.where(missed[:, None] > 0, beyond, values)
        if len(values) == 1 or values.shape[1] == 1:
            return np.argsort(values[:, 0], kind="stable")
        order: np.ndarray = pygmo.sort_population_mo(values).astype(np.int64)
        return order

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
        return repair(self.problem, np.where(mutated, moved, children), self.feasible_start, rng)

    def _neighbours(self, configs: np.ndarray) -> np.ndarray:
        """(P, layers) for each layer one of the allowed choices with the nearest number of bits on one axis."""
        options = self._nearby
        pick = (self.rng.random(configs.shape) * options[1][np.arange(configs.shape[1]), configs]).astype(np.int64)
        chosen: np.ndarray = options[0][np.arange(configs.shape[1]), configs, pick]
        return chosen


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
