"""Linear regression with a quadratic penalty, on standardised features."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin

from mico_runner.proxy.regressors import register


@register("ridge")
class Ridge(RegressorMixin, BaseEstimator):
    """Ridge regression on the logarithm of positive features, standardised."""

    def __init__(self, alpha: float = 1e-3, seed: int = 0) -> None:
        self.alpha = alpha
        self.seed = seed

    def fit(self, X: np.ndarray, y: np.ndarray) -> Ridge:
        logs = np.log1p(X)
        self.mean_, self.scale_ = logs.mean(axis=0), logs.std(axis=0)
        self.scale_[self.scale_ == 0] = 1.0
        Z = (logs - self.mean_) / self.scale_
        self.intercept_ = float(np.mean(y))
        gram = Z.T @ Z + self.alpha * len(y) * np.eye(Z.shape[1])
        self.coefficients_ = np.linalg.solve(gram, Z.T @ (y - self.intercept_))
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        return ((np.log1p(X) - self.mean_) / self.scale_) @ self.coefficients_ + self.intercept_
