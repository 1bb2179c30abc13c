"""What devices that are known say about a device that is not: a Gaussian prior over the costs of its operations.

Each source device is a ridge regression on the features of the networks, its cost of every operation at every position. A new device's
costs are expected to be a mixture of the sources' (covariance W'W over the source devices), plus what no source shows. The latter has
a matrix-normal covariance: positions that cost alike on the sources cost alike here, and so do operations
(position covariance kron operation covariance, A. P. Dawid, "Some matrix-variate distribution theory", Biometrika 1981; as prior over
tasks E. Bonilla et al., "Multi-task Gaussian process prediction", NeurIPS 2007). So one measurement of an expensive operation tells
about that operation at every other position.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RIDGES = np.logspace(-2, 2, 9)  # tried for every source device; generalised cross-validation chooses


@dataclass(frozen=True)
class Prior:
    """Covariances of a new device's costs, float64 (features, features), each of mean variance 1 over the networks.

    Attributes:
        known: of mixtures of the sources.
        own: of what no source shows.
        costs: of the sources, each with predictions of variance 1, float64 (sources, features).
    """

    known: np.ndarray
    own: np.ndarray
    costs: np.ndarray


def one_hot(architecture: np.ndarray, operations: int) -> np.ndarray:
    """(networks, positions) of operations from 0 -> float64 (networks, positions * operations) of zeros and ones.

    Layers run one after another, so that a latency is nearly a sum over positions; features of pairs of positions made the errors on
    source devices that were left out larger.
    """
    count, positions = architecture.shape
    result = np.zeros((count, positions * operations))
    result[np.arange(count)[:, None], np.arange(positions) * operations + architecture] = 1
    return result


def prior(features: np.ndarray, latency: Sequence[np.ndarray], operations: int) -> Prior:
    """The prior by the source devices.

    Args:
        features: of `one_hot`, float64 (networks, positions * operations).
        latency: of each source device, (networks,) each, nan where it was not measured.
        operations: choices at each position.
    """
    costs = np.array([_costs(features, each) for each in latency])
    own = _matrix_normal(costs.reshape(len(costs), -1, operations))
    return Prior(_scaled(costs.T @ costs, features), _scaled(own, features), costs)


def _costs(features: np.ndarray, latency: np.ndarray) -> np.ndarray:
    """Ridge regression on one device, for latencies whose prediction has variance 1; float64 (features,)."""
    there = np.isfinite(latency)
    x, y = features[there] - features[there].mean(axis=0), latency[there] - latency[there].mean()
    values, vectors = np.linalg.eigh(x.T @ x)
    values, target, count = np.maximum(values, 0), vectors.T @ (x.T @ y), len(y)
    scores = []
    for ridge in RIDGES:
        solution = target / (values + ridge)
        left = y @ y - 2 * (solution @ target) + (solution**2) @ values
        scores.append(left / (1 - min((values / (values + ridge)).sum() / count, 0.999)) ** 2)
    costs: np.ndarray = vectors @ (target / (values + RIDGES[int(np.argmin(scores))]))
    return costs / max(float((x @ costs).std()), np.finfo(float).tiny)


def _matrix_normal(costs: np.ndarray) -> np.ndarray:
    """Position covariance kron operation covariance of costs (devices, positions, operations), up to a factor."""
    by_position = np.einsum("dpo,dqo->pq", costs, costs)
    by_operation = np.einsum("dpo,dpe->oe", costs, costs)
    covariance: np.ndarray = np.kron(by_position, by_operation) / max(np.trace(by_position), np.finfo(float).tiny)
    return covariance


def _scaled(covariance: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Of mean variance 1 over the networks."""
    x = features - features.mean(axis=0)
    return covariance / max(float(((x @ covariance) * x).sum(axis=1).mean()), np.finfo(float).tiny)
