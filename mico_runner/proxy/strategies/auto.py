"""The best of several strategies on shapes left out of the training set."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mico_runner.proxy.inner import held_out_errors
from mico_runner.proxy.strategies import Strategy, register
from mico_runner.proxy.strategies.hybrid import Hybrid
from mico_runner.proxy.strategies.single import Single


@register("auto")
class Auto(Strategy):
    """Chosen by grouped folds inside the training set, so that the error measured outside it stays honest."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, table: pd.DataFrame, latency: np.ndarray) -> Auto:
        candidates = self.candidates()
        self.held_out_errors_ = held_out_errors(candidates, table, latency, self.seed)
        best = candidates[int(np.argmin(self.held_out_errors_))]
        if isinstance(best, Hybrid):
            best.set_params(tune=True)  # once, not for every candidate and fold
        self.chosen_ = best.fit(table, latency)
        return self

    def predict(self, table: pd.DataFrame) -> np.ndarray:
        return self.chosen_.predict(table)

    def candidates(self) -> list[Strategy]:
        """Bit-widths free or alike; costs added up or overlapping; and trees, for data without that structure."""
        return [
            Hybrid(power=1, bit_penalty=1e-4, tune=False, seed=self.seed),
            Hybrid(power=1, bit_penalty=1e-1, tune=False, seed=self.seed),
            Hybrid(power=2, bit_penalty=1e-1, tune=False, seed=self.seed),
            Single(seed=self.seed),
        ]
