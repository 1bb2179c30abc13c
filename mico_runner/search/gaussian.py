"""Gaussian process regression with a Matern 5/2 kernel (Rasmussen and Williams 2006, algorithm 2.1 and equation 4.17)."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import ndtr

LENGTHS = (0.2, 0.5, 1.0, 2.0, 5.0)  # in units of the square root of the dimension
NOISES = (1e-3, 1e-2, 1e-1)  # variance, as a share of that of the data
_DECIMALS = 6  # of the likelihood and of scaled predictions: what is below is the rounding of a linear solver


class GaussianProcess:
    """Length scale and noise are those of the highest marginal likelihood on a small grid; `fit` first."""

    def fit(self, x: np.ndarray, y: np.ndarray) -> None:
        """Learn values (n,) at points (n, d), n > 0."""
        self._x, self._mean = x, float(y.mean())
        self._scale = float(y.std()) or 1.0
        target = (y - self._mean) / self._scale
        best = -np.inf
        distance = _distances(x, x)
        for length in LENGTHS:
            kernel = _matern(distance / (length * x.shape[1] ** 0.5))
            for noise in NOISES:
                factor = cho_factor(kernel + noise * np.eye(len(x)), lower=True)
                weights = cho_solve(factor, target)
                likelihood = round(float(-0.5 * target @ weights - np.log(np.diag(factor[0])).sum()), _DECIMALS)
                if likelihood > best:
                    best = likelihood
                    self._length, self._factor, self._weights = length * x.shape[1] ** 0.5, factor, weights

    def predict(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation at points (P, d), (P,) each."""
        cross = _matern(_distances(x, self._x) / self._length)
        mean = np.round(cross @ self._weights, _DECIMALS)
        variance = 1.0 - (cross * cho_solve(self._factor, cross.T).T).sum(axis=1)
        spread = np.round(np.sqrt(np.maximum(variance, 0.0)), _DECIMALS)
        return self._mean + self._scale * mean, self._scale * spread


def expected_improvement(mean: np.ndarray, std: np.ndarray, lowest: float) -> np.ndarray:
    """(P,) by how much a normally distributed value is expected to fall below the lowest one known (Mockus 1975)."""
    std = np.maximum(std, 1e-12)
    z = (lowest - mean) / std
    gain: np.ndarray = (lowest - mean) * ndtr(z) + std * np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return gain


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None] - 2 * a @ b.T
    found: np.ndarray = np.sqrt(np.maximum(squares, 0.0))
    return found


def _matern(r: np.ndarray) -> np.ndarray:
    s = np.sqrt(5.0) * r
    value: np.ndarray = (1 + s + s**2 / 3) * np.exp(-s)
    return value
