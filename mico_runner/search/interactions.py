"""Sensitivities and interactions of all pairs of layers: a quadratic programme in integers."""

from __future__ import annotations

import numpy as np

from mico_runner.search import milp, register
from mico_runner.search.curvature import Curvature
from mico_runner.search.problem import Problem
from mico_runner.search.proposing import Proposing
from mico_runner.search.surrogate import AdditiveSurrogate

_LINEARISED = 4  # programmes, each linear around the solution of the one before
_MOVES = 2_000  # random changes of two layers in a round of the descent


@register("interactions", params={})
class Interactions(Proposing):
    """A quadratic model of the loss with the interactions of every pair of layers, minimised within the limits.

    CLADO (Z. Deng et al., "Mixed-precision Quantization with Cross-Layer Dependencies", 2023) measures the loss of every pair of layers
    and bits; IMPQ (2025) estimates interactions by Shapley values. We differ: the interactions are the products of what two layers do to
    the loss of the same calibration sample, from one backward pass, so that their number costs nothing; a factor on them and all
    sensitivities are corrected by every evaluation; and the quadratic programme is solved by integer programmes that are linear
    around the last solution, then by descent over changes of one and two layers, without a proof of optimality.
    """

    def __init__(self, problem: Problem, feasible_start: np.ndarray, rng: np.random.Generator) -> None:
        super().__init__(problem, feasible_start, rng, initial=1)
        self._curvature = Curvature(problem)
        self._surrogate = AdditiveSurrogate(problem.space, self._curvature.sensitivity)
        self._factor = 1.0

    def candidates(self, count: int) -> np.ndarray:
        self._fit()
        found = [super().candidates(count)]
        config = milp.allocate(self.problem.space, self._surrogate.mean, self.problem.limits())
        for _ in range(_LINEARISED):
            if config is None:
                break
            found.append(config[None])
            table = self._surrogate.mean + self._factor * self._curvature.linearised(config)
            config = milp.allocate(self.problem.space, table, self.problem.limits())
        pool = np.concatenate(found)
        pool = pool[self.problem.within(pool)]
        return self.new(np.concatenate([pool, self._descent(pool)])) if len(pool) else pool

    def score(self, candidates: np.ndarray) -> np.ndarray:
        interaction: np.ndarray = self._factor * self._curvature.interaction(candidates)
        score: np.ndarray = self._surrogate.predict(candidates) + interaction
        return score

    def _fit(self) -> None:
        """The factor on interactions that fits best beside the one on sensitivities, then the sensitivities to what is left."""
        rows = np.arange(self.configs.shape[1])
        own = self._curvature.sensitivity[rows, self.configs].sum(axis=1)
        pairs = self._curvature.interaction(self.configs)
        excess = self.observed_loss - self.observed_loss[0]
        both = np.stack([own - own[0], pairs - pairs[0]], axis=1)
        if len(self.configs) > 1:
            together = both.sum(axis=1)
            self._factor = max(float(together @ excess / max(together @ together, 1e-300)), 0.0)
        self._surrogate.fit(self.configs, self.observed_loss - self._factor * pairs)

    def _descent(self, pool: np.ndarray) -> np.ndarray:
        """(k, layers) what descending from the best of the pool passes: each time the best of random changes of one or two layers."""
        config = pool[np.argmin(self.score(pool))]
        lowest = self.score(config[None])[0]
        passed = []
        while True:
            layers = self.rng.integers(len(config), size=(_MOVES, 2))
            moved = np.tile(config, (_MOVES, 1))
            drawn = self.problem.space.sample(_MOVES, self.rng)
            for side in (0, 1):
                moved[np.arange(_MOVES), layers[:, side]] = drawn[np.arange(_MOVES), layers[:, side]]
            moved = moved[self.problem.within(moved)]
            if not len(moved):
                break
            values = self.score(moved)
            order = np.argsort(values, kind="stable")[:20]
            passed.append(moved[order])
            if values[order[0]] >= lowest:
                break
            config, lowest = moved[order[0]], values[order[0]]
        return np.concatenate(passed) if passed else pool[:0]
