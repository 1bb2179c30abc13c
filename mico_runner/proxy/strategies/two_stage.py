"""INT8 base times speed-up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mico_runner.errors import UsageError
from mico_runner.proxy import features as feature_sets
from mico_runner.proxy import regressors
from mico_runner.proxy.strategies import Strategy, register

BASE_BITS = 8


@register(
    "two_stage",
    params={
        "base_features": {"type": "string", "allowed": ["raw-shape", "macs"]},
        "regressor_params": {"type": "dict"},
    },
)
class TwoStage(Strategy):
    """Latency at 8 x 8 bits from the shape, divided by the speed-up that the bit-widths give, as published by MiCo.

    Both stages regress logarithms. The speed-up's target is the *predicted* base over the measured latency, so the second stage also
    corrects the first where it was trained.
    """

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

    def fit(self, table: pd.DataFrame, latency: np.ndarray) -> TwoStage:
        """Raises UsageError when no row has 8-bit weights and activations."""
        latency = np.asarray(latency, dtype=float)
        int8 = ((table["act_bits"] == BASE_BITS) & (table["weight_bits"] == BASE_BITS)).to_numpy()
        if not int8.any():
            raise UsageError(no_int8("two_stage", table))
        base = feature_sets.matrix(table, self.base_features)
        self.base_ = self._regressor().fit(base[int8], np.log(latency[int8]))
        speedup = self.base_.predict(base) - np.log(latency)
        self.speedup_ = self._regressor().fit(feature_sets.matrix(table, self.features), speedup)
        return self

    def predict(self, table: pd.DataFrame) -> np.ndarray:
        base = self.base_.predict(feature_sets.matrix(table, self.base_features))
        return np.exp(base - self.speedup_.predict(feature_sets.matrix(table, self.features)))

    def _regressor(self) -> Any:
        return regressors.make(self.regressor, self.regressor_params, self.seed)


def no_int8(strategy: str, table: pd.DataFrame) -> str:
    """The message for rows, perhaps those of one fold, that lack the base of the strategy."""
    return (
        f"strategy {strategy!r} needs {table['kind'].iloc[0]} rows with 8-bit weights and activations, in each fold of a validation, too; "
        f"the {len(table)} to learn from have none"
    )
