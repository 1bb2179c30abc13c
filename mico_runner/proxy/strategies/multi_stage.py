"""INT8 base, then one speed-up model per range of bit-widths."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mico_runner.errors import UsageError
from mico_runner.proxy import features as feature_sets
from mico_runner.proxy import regressors
from mico_runner.proxy.strategies import Strategy, register
from mico_runner.proxy.strategies.two_stage import no_int8

UPPER = (2, 4, 8)  # the wider of both bit-widths: 1-2, 3-4, 5-8


@register(
    "multi_stage",
    params={
        "base_features": {"type": "string", "allowed": ["raw-shape", "macs"]},
        "regressor_params": {"type": "dict"},
    },
)
class MultiStage(Strategy):
    """`two_stage` with a speed-up of its own for each range of the wider bit-width: 1-2, 3-4 and 5-8 bits."""

    def __init__(
        self,
        features: str = "cbops+",
        regressor: str = "xgb",
        base_features: str = "raw-shape",
        regressor_params: dict[str, object] | None = None,
        seed: int = 0,
    ) -> None:
        self.features = features
        self.regressor = regressor
        self.base_features = base_features
        self.regressor_params = regressor_params
        self.seed = seed

    def fit(self, table: pd.DataFrame, latency: np.ndarray) -> MultiStage:
        """Raises UsageError when no row has 8-bit weights and activations."""
        latency = np.asarray(latency, dtype=float)
        int8 = (table[["act_bits", "weight_bits"]] == 8).all(axis=1).to_numpy()
        if not int8.any():
            raise UsageError(no_int8("multi_stage", table))
        base = feature_sets.matrix(table, self.base_features)
        X = feature_sets.matrix(table, self.features)
        self.base_ = self._regressor().fit(base[int8], np.log(latency[int8]))
        speedup = self.base_.predict(base) - np.log(latency)
        stage = _stage(table)
        self.stages_ = np.unique(stage)
        self.speedups_ = [self._regressor().fit(X[stage == s], speedup[stage == s]) for s in self.stages_]
        return self

    def predict(self, table: pd.DataFrame) -> np.ndarray:
        """A range that was not profiled takes the model of the nearest one."""
        X = feature_sets.matrix(table, self.features)
        logs = self.base_.predict(feature_sets.matrix(table, self.base_features))
        nearest = np.abs(_stage(table)[:, None] - self.stages_[None]).argmin(axis=1)
        for number, model in enumerate(self.speedups_):
            rows = nearest == number
            if rows.any():
                logs[rows] -= model.predict(X[rows])
        return np.exp(logs)

    def _regressor(self) -> Any:
        return regressors.make(self.regressor, self.regressor_params, self.seed)


def _stage(table: pd.DataFrame) -> np.ndarray:
    wider = table[["act_bits", "weight_bits"]].max(axis=1).to_numpy()
    return np.searchsorted(UPPER, np.minimum(wider, UPPER[-1]))
