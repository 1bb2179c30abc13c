"""Several strategies, weighted by their held-out error."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mico_runner.proxy.inner import held_out_logs
from mico_runner.proxy.strategies import Strategy, register
from mico_runner.proxy.strategies.hybrid import Hybrid
from mico_runner.proxy.strategies.single import Single
from mico_runner.proxy.strategies.structural import Structural

SHARPNESS = 2  # weight = error ** -SHARPNESS: inverse variance
SMALLEST_ERROR = 1e-3


@register("ensemble")
class Ensemble(Strategy):
    """Weighted geometric mean of `structural`, `hybrid` and `single`; the weights are their inverse squared errors on shapes left out."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, table: pd.DataFrame, latency: np.ndarray) -> Ensemble:
        members = [
            Structural(),
            Hybrid(bit_penalty=1e-4, tune=False, complete=False, seed=self.seed),
            Hybrid(bit_penalty=1e-1, tune=False, complete=False, seed=self.seed),
            Single(seed=self.seed),
        ]
        logs = held_out_logs(members, table, latency, self.seed)
        errors = np.ones(len(members)) if logs is None else np.abs(np.exp(logs) / latency - 1).mean(axis=1)
        weights = np.maximum(errors, SMALLEST_ERROR) ** -SHARPNESS
        self.weights_ = weights / weights.sum()
        self.members_ = [member.fit(table, latency) for member in members]
        return self

    def predict(self, table: pd.DataFrame) -> np.ndarray:
        logs = [w * np.log(member.predict(table)) for w, member in zip(self.weights_, self.members_, strict=True)]
        return np.exp(np.sum(logs, axis=0))
