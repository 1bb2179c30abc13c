"""A surrogate that knows how sure it is: an additive model, and a process over what it misses."""

from __future__ import annotations

import numpy as np

from mico_runner.search import milp, register
from mico_runner.search.encoding import unit
from mico_runner.search.gaussian import GaussianProcess, expected_improvement
from mico_runner.search.problem import Problem
from mico_runner.search.proposing import Proposing
from mico_runner.search.surrogate import AdditiveSurrogate

_OPTIMISM = (0.0, 0.5, 1.0, 2.0)  # standard deviations taken off the effects, for the allocations among the candidates


@register("surrogate", params={"initial": {"type": "integer", "min": 1, "default": 4}})
class Surrogate(Proposing):
    """Expected improvement on an additive model of the loss with a Gaussian process over its residuals.

    Kriging with a trend: C. Rasmussen, C. Williams, "Gaussian Processes for Machine Learning", 2006, section 2.7; improvement: J. Mockus
    1975. The trend is the Bayesian additive model of `exact`, which knows how noise falls with bits. Candidates are random ones within
    the limits, relatives of the best, and the exact allocations by effects that are taken as optimistic as they are uncertain.
    """

    def __init__(
        self, problem: Problem, feasible_start: np.ndarray, rng: np.random.Generator, initial: int = 4
    ) -> None:
        super().__init__(problem, feasible_start, rng, initial)
        self._additive = AdditiveSurrogate(problem.space)
        self._process = GaussianProcess()

    def candidates(self, count: int) -> np.ndarray:
        self._additive.fit(self.configs, self.observed_loss)
        self._process.fit(
            unit(self.problem.space, self.configs), self.observed_loss - self._additive.predict(self.configs)
        )
        limits = list(self.problem.limits())
        tables = [self._additive.mean - optimism * self._additive.std for optimism in _OPTIMISM]
        best = [milp.allocate(self.problem.space, table, limits) for table in tables]
        found = np.stack([config for config in best if config is not None] or [self.feasible_start])
        found = found[self.problem.within(found)]
        return self.new(np.concatenate([found, super().candidates(count)]))

    def score(self, candidates: np.ndarray) -> np.ndarray:
        rows = np.arange(candidates.shape[1])
        residual, std = self._process.predict(unit(self.problem.space, candidates))
        mean = self._additive.predict(candidates) + residual
        std = np.sqrt(std**2 + (self._additive.std[rows, candidates] ** 2).sum(axis=1))
        lowest = float(self.observed_loss.min())
        return lowest - expected_improvement(mean, std, lowest)
