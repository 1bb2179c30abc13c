"""Gradient-boosted trees (XGBoost), stored in its own JSON format."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin

from mico_runner.proxy.regressors import register


@register("xgb")
class GradientBoosting(RegressorMixin, BaseEstimator):
    """Gradient-boosted trees (XGBoost); defaults are XGBoost's own."""

    def __init__(
        self,
        n_estimators: int = 100,
        max_depth: int = 6,
        learning_rate: float = 0.3,
        min_child_weight: float = 1.0,
        reg_lambda: float = 1.0,
        subsample: float = 1.0,
        colsample_bytree: float = 1.0,
        seed: int = 0,
    ) -> None:
        self.n_estimators = n_estimators
        self.max_depth = max_depth
        self.learning_rate = learning_rate
        self.min_child_weight = min_child_weight
        self.reg_lambda = reg_lambda
        self.subsample = subsample
        self.colsample_bytree = colsample_bytree
        self.seed = seed

    def fit(self, X: np.ndarray, y: np.ndarray) -> GradientBoosting:
        import xgboost

        options = {key: value for key, value in self.get_params().items() if key not in ("n_estimators", "seed")}
        booster = xgboost.train(
            {**options, "seed": self.seed, "nthread": 1, "objective": "reg:squarederror"},
            xgboost.DMatrix(X, label=y, nthread=1),
            num_boost_round=self.n_estimators,
        )
        self.booster_ = bytes(booster.save_raw("json"))
        self._live = None
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """float64 (rows,); always from the stored JSON, so saving changes nothing."""
        import xgboost

        if getattr(self, "_live", None) is None:
            self._live = xgboost.Booster({"nthread": 1}, model_file=bytearray(self.booster_))
        return self._live.inplace_predict(np.asarray(X, dtype=float)).astype(float)

    def __getstate__(self) -> dict:
        return {key: value for key, value in super().__getstate__().items() if key != "_live"}
