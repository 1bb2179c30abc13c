"""Bayesian optimisation over the bits of all layers."""

from __future__ import annotations

import numpy as np

from mico_runner.search import register
from mico_runner.search.encoding import unit
from mico_runner.search.gaussian import GaussianProcess, expected_improvement
from mico_runner.search.problem import Problem
from mico_runner.search.proposing import Proposing


@register(
    "bayes",
    params={
        "acquisition": {"type": "string", "allowed": ["ei", "ucb"], "default": "ei"},
        "kappa": {"type": "float", "min": 0.0, "default": 2.0},
        "initial": {"type": "integer", "min": 1, "default": 16},
    },
)
class Bayes(Proposing):
    """Gaussian process with a Matern 5/2 kernel; expected improvement or a confidence bound.

    J. Snoek, H. Larochelle, R. Adams, "Practical Bayesian Optimization of Machine Learning Algorithms", NIPS 2012; the confidence
    bound: N. Srinivas et al., "Gaussian Process Optimization in the Bandit Setting", ICML 2010. We differ: hyperparameters come from a
    grid, the acquisition is looked up on 1,000 candidates within the limits instead of being climbed, and the process learns the loss.
    """

    def __init__(
        self,
        problem: Problem,
        feasible_start: np.ndarray,
        rng: np.random.Generator,
        acquisition: str = "ei",
        kappa: float = 2.0,
        initial: int = 16,
    ) -> None:
        super().__init__(problem, feasible_start, rng, initial)
        self._acquisition, self._kappa = acquisition, kappa
        self._process = GaussianProcess()

    def score(self, candidates: np.ndarray) -> np.ndarray:
        space, loss = self.problem.space, self.observed_loss
        self._process.fit(unit(space, self.configs), loss)
        mean, std = self._process.predict(unit(space, candidates))
        if self._acquisition == "ucb":
            return mean - self._kappa * std
        score: np.ndarray = loss.min() - expected_improvement(mean, std, float(loss.min()))
        return score
