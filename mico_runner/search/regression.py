"""A regression of the loss, and the configuration that it likes best among random ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from mico_runner.search import register
from mico_runner.search.encoding import bits, unit
from mico_runner.search.gaussian import GaussianProcess
from mico_runner.search.problem import Problem
from mico_runner.search.proposing import FILLED, Proposing
from mico_runner.search.sampling import fill


@register(
    "regression",
    params={
        "model": {"type": "string", "allowed": ["forest", "boosting", "process"], "default": "forest"},
        "initial": {"type": "integer", "min": 1, "default": 16},
    },
)
class Regression(Proposing):
    """The best of 1,000 random configurations by the mean of a random forest, boosted trees or a Gaussian process.

    The baseline of MiCo (Z. Jiang et al., "MiCo: End-to-End Mixed Precision Neural Network Co-Exploration Framework for Edge AI", 2025):
    it explores nothing that its model does not like. We differ: a part of the candidates takes as many bits as the limits allow.
    """

    def __init__(
        self,
        problem: Problem,
        feasible_start: np.ndarray,
        rng: np.random.Generator,
        model: str = "forest",
        initial: int = 16,
    ) -> None:
        super().__init__(problem, feasible_start, rng, initial)
        self._model = model
        self._seed = int(rng.integers(2**31))

    def candidates(self, count: int) -> np.ndarray:
        draws = self.sampler.draw(count, self.seen)
        filled = fill(self.problem, draws[:FILLED], self.rng) if len(draws) else draws
        return self.new(np.concatenate([draws, filled]))

    def score(self, candidates: np.ndarray) -> np.ndarray:
        space, loss = self.problem.space, self.observed_loss
        if self._model == "process":
            process = GaussianProcess()
            process.fit(unit(space, self.configs), loss)
            return process.predict(unit(space, candidates))[0]
        model = _trees(self._model, self._seed)
        model.fit(bits(space, self.configs), loss)
        mean: np.ndarray = np.asarray(model.predict(bits(space, candidates)), dtype=np.float64)
        return mean


def _trees(model: str, seed: int) -> Any:
    if model == "boosting":
        from xgboost import XGBRegressor

        return XGBRegressor(n_estimators=100, random_state=seed, n_jobs=1)
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(n_estimators=100, random_state=seed, n_jobs=1)
