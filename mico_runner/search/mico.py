"""MiCo's own searcher: a random forest with the spread of its trees, over candidates near the limit."""

from __future__ import annotations

import numpy as np

from mico_runner.search import register
from mico_runner.search.encoding import bits, shares
from mico_runner.search.problem import Problem
from mico_runner.search.proposing import Proposing, order
from mico_runner.search.sampling import fill, repair

_REGIONS = (0.1, 0.2, 0.3)  # shares of a limit below it, each tried when the one before holds too few candidates
_ENOUGH = 50  # candidates in the region of interest
_GENERATIONS = 3
_EXPLORATION = 0.5  # standard deviations over the trees, at the first proposal


@register(
    "mico",
    params={
        "initial": {"type": "integer", "min": 1, "default": 16},
        "trees": {"type": "integer", "min": 2, "default": 100},
    },
)
class MiCo(Proposing):
    """MiCo's searcher (Jiang et al. 2025): a random forest over a population that is bred near the limit.

    It begins with the most and the fewest bits, then lowers random layers; then each round a forest on bits and on bits times each
    layer's share of the MACs ranks 1,000 candidates of a genetic algorithm in the region of interest, 10 to 30 % below the limit, by its
    mean minus 0.5 n0 / n standard deviations over the trees (n0 initial points, n in all). We differ: "the most bits" are the most within
    the limits, as an evaluation beyond them could not be chosen; where the region holds too few candidates all of them count, instead
    of an error; and the forest learns the loss, of which less is better.
    """

    def __init__(
        self,
        problem: Problem,
        feasible_start: np.ndarray,
        rng: np.random.Generator,
        initial: int = 16,
        trees: int = 100,
    ) -> None:
        super().__init__(problem, feasible_start, rng, initial)
        self._trees = trees
        self._seed = int(rng.integers(2**31))

    def first(self, count: int) -> np.ndarray:
        space, rng = self.problem.space, self.rng
        fewest = np.array([min(allowed, key=lambda i: space.choices[i]) for allowed in space.allowed])
        lowered = np.tile(self.start, (4 * count, 1))
        changed = rng.random(lowered.shape) < rng.random((len(lowered), 1))
        draws = space.sample(len(lowered), rng)
        width = np.array(space.choices, dtype=float).sum(axis=1)
        lowered = np.where(changed & (width[draws] < width[lowered]), draws, lowered)
        found = self.new(np.concatenate([fewest[None], repair(self.problem, lowered, self.feasible_start, rng)]))
        return self.problem.affordable_ones(found, count)

    def candidates(self, count: int) -> np.ndarray:
        parents = self.configs[order(self.problem, self.metrics, self.configs, self.observed_loss)[: self._initial]]
        pool = np.concatenate([parents, fill(self.problem, self.sampler.draw(count // 4, self.seen), self.rng)])
        for _ in range(_GENERATIONS):
            pool = np.unique(np.concatenate([pool, self._children(pool, count)]), axis=0)
            pool = pool[self._interesting(pool)]
            pool = pool[self.rng.permutation(len(pool))[:count]]
        return self.new(pool)

    def score(self, candidates: np.ndarray) -> np.ndarray:
        from sklearn.ensemble import RandomForestRegressor

        forest = RandomForestRegressor(n_estimators=self._trees, random_state=self._seed, n_jobs=1)
        forest.fit(self._features(self.configs), self.observed_loss)
        by_tree = np.stack([tree.predict(self._features(candidates)) for tree in forest.estimators_])
        spread: np.ndarray = _EXPLORATION * self._initial / len(self.configs) * by_tree.std(axis=0)
        score: np.ndarray = by_tree.mean(axis=0) - spread
        return score

    def _features(self, configs: np.ndarray) -> np.ndarray:
        """(P, 4 layers) bits, and bits times the layer's share of the MACs."""
        plain = bits(self.problem.space, configs)
        return np.concatenate([plain, plain * np.tile(shares(self.problem), 2)], axis=1)

    def _children(self, parents: np.ndarray, count: int) -> np.ndarray:
        """(count, layers) by uniform crossover of random parents, one layer mutated on average, within the additive limits."""
        rng, layers = self.rng, parents.shape[1]
        pairs = parents[rng.integers(len(parents), size=(2, count))]
        children = np.where(rng.random((count, layers)) < 0.5, pairs[0], pairs[1])
        mutated = rng.random(children.shape) < 1 / layers
        children = np.where(mutated, self.problem.space.sample(count, rng), children)
        return repair(self.problem, children, self.feasible_start, rng)

    def _interesting(self, configs: np.ndarray) -> np.ndarray:
        """Mask (P,) of the configurations in the smallest region of interest that holds enough of them, else of all."""
        upper = [c for c in self.problem.additive if np.isfinite(c.max)]
        if upper:
            use = np.max([self.problem.cost(c.metric, configs) / c.max for c in upper], axis=0)
            for region in _REGIONS:
                inside: np.ndarray = use >= 1 - region
                if inside.sum() >= _ENOUGH:
                    return inside
        return np.ones(len(configs), dtype=bool)
