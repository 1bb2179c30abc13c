"""One regressor on one feature set."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mico_runner.proxy import features as feature_sets
from mico_runner.proxy import regressors
from mico_runner.proxy.strategies import Strategy, register


@register("single", params={"regressor_params": {"type": "dict"}})
class Single(Strategy):
    """One regressor of the logarithm of latency, as published by MiCo."""

    def __init__(
        self,
        features: str = "cbops+",
        regressor: str = "xgb",
        regressor_params: dict[str, object] | None = None,
        seed: int = 0,
    ) -> None:
        self.features = features
        self.regressor = regressor
        self.regressor_params = regressor_params
        self.seed = seed

    def fit(self, table: pd.DataFrame, latency: np.ndarray) -> Single:
        X = feature_sets.matrix(table, self.features)
        self.model_ = regressors.make(self.regressor, self.regressor_params, self.seed).fit(X, np.log(latency))
        return self

    def predict(self, table: pd.DataFrame) -> np.ndarray:
        return np.exp(self.model_.predict(feature_sets.matrix(table, self.features)))
