"""A device's costs, learned from the few networks that it has measured, by a Gaussian process whose prior other devices give (`prior`).

latency = base + features . costs + noise, with costs ~ scale^2 (known + part * own) and noise ~ scale^2 * noise * (1 + part). The scale
has its maximum-likelihood value; part and noise are averaged over a grid by their marginal likelihoods (C. E. Rasmussen and
C. K. I. Williams, "Gaussian Processes for Machine Learning", 2006, chapter 5), since twenty measurements do not settle them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg, stats

from mico_runner.proxy.networks.prior import Prior

PARTS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)  # variance of what no source shows, of that of the sources' mixtures
NOISES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)  # variance of a measurement, of that of the networks
BASE = 10.0  # variance of the latency that all networks have in common: nothing is known of it
FLOOR = 0.01  # of the smallest measured latency: predictions stay positive


@dataclass(frozen=True)
class Posterior:
    """What is known of a device.

    Attributes:
        mean: of the base and of the costs, float64 (1 + features,).
        covariance: of these, float64 (1 + features, 1 + features).
        noise: variance of a measurement.
        measured: networks that it was learned from.
        floor: least latency that is predicted.
    """

    mean: np.ndarray
    covariance: np.ndarray
    noise: float
    measured: int
    floor: float

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Latency of each network, float64 (networks,); features float64 (networks, features)."""
        latency = np.full(len(features), self.mean[0])
        for column, cost in zip(
            features.T, self.mean[1:], strict=True
        ):  # the last bits of a product depend on the rows
            latency += column * cost
        return np.maximum(latency, self.floor)

    def interval(self, features: np.ndarray, coverage: float) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper latency that hold the measured one with probability `coverage`, by Student's t, (networks,) each."""
        x = _with_base(features)
        variance = ((x @ self.covariance) * x).sum(axis=1) + self.noise
        half = stats.t.ppf((1 + coverage) / 2, self.measured) * np.sqrt(np.maximum(variance, 0))
        latency = self.predict(features)
        return np.maximum(latency - half, self.floor), latency + half


def posterior(features: np.ndarray, latency: np.ndarray, prior: Prior) -> Posterior:
    """What the measured networks say: features float64 (measured, features), latency positive (measured,)."""
    x, centre = _with_base(features), float(latency.mean())
    spread = float(latency.std()) or centre
    y = (latency - centre) / spread
    scores, parts = [], []
    for part in PARTS:
        covariance = linalg.block_diag(BASE, prior.known + part * prior.own)
        projected = x @ covariance  # (measured, 1 + features)
        kernel = projected @ x.T
        for noise in NOISES:
            inverse = np.linalg.inv(kernel + noise * (1 + part) * np.eye(len(y)))
            scale = max(float(y @ inverse @ y) / len(y), np.finfo(float).tiny)
            scores.append(-0.5 * len(y) * np.log(scale) + 0.5 * np.linalg.slogdet(inverse)[1])
            parts.append((part, projected, inverse, scale, scale * noise * (1 + part)))
    weights = np.exp(np.array(scores) - max(scores))
    weights /= weights.sum()
    means = [projected.T @ (inverse @ y) for _, projected, inverse, _, _ in parts]
    mean = np.sum([weight * each for weight, each in zip(weights, means, strict=True)], axis=0)
    apart = np.sqrt(weights)[:, None] * (np.array(means) - mean)
    covariance = apart.T @ apart
    for part in PARTS:
        mine = [(w, *found[1:4]) for w, found in zip(weights, parts, strict=True) if found[0] == part]
        projected = mine[0][1]
        inner = np.sum([weight * scale * inverse for weight, _, inverse, scale in mine], axis=0)
        total = float(np.sum([weight * scale for weight, _, _, scale in mine]))
        covariance += total * linalg.block_diag(BASE, prior.known + part * prior.own)
        covariance -= projected.T @ inner @ projected
    noise = float(np.sum([weight * found[4] for weight, found in zip(weights, parts, strict=True)]))
    mean = spread * mean
    mean[0] += centre
    return Posterior(mean, spread**2 * covariance, spread**2 * noise, len(y), FLOOR * float(latency.min()))


def _with_base(features: np.ndarray) -> np.ndarray:
    return np.column_stack([np.ones(len(features)), features])
