"""Physical structure times a learned residual."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mico_runner.proxy import residual
from mico_runner.proxy.strategies import Strategy, register
from mico_runner.proxy.strategies.structural import Structural


@register(
    "hybrid",
    params={
        "power": {"type": "number", "min": 1, "max": 8},
        "bit_penalty": {"type": "number", "min": 0, "max": 1000},
        "tune": {"type": "boolean"},
    },
)
class Hybrid(Strategy):
    """`structural`, corrected by a Gaussian process on its log residual that fades to 1 away from the training shapes.

    Args:
        power, bit_penalty: of `structural`.
        tune: choose the process' hyper-parameters by leave-one-shape-out error; otherwise fixed ones.
    """

    def __init__(self, power: float = 1, bit_penalty: float = 1e-3, tune: bool = True, seed: int = 0) -> None:
        self.power = power
        self.bit_penalty = bit_penalty
        self.tune = tune
        self.seed = seed

    def fit(self, table: pd.DataFrame, latency: np.ndarray) -> Hybrid:
        self.structure_ = Structural(self.power, self.bit_penalty).fit(table, latency)
        log_residual = np.log(np.asarray(latency, dtype=float) / self.structure_.predict(table))
        self.residual_ = residual.fit(table, log_residual, self.tune, np.random.default_rng(self.seed))
        return self

    def predict(self, table: pd.DataFrame) -> np.ndarray:
        return self.structure_.predict(table) * np.exp(residual.predict(self.residual_, table))
