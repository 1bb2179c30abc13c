"""Gaussian processes over log2 of the batch size: epochs to the target, and the cost of an epoch, as logarithms."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

LENGTH = 2.0  # octaves over which the deviation from a straight line is alike
EPOCHS_SLOPE, COSTS_SLOPE = (
    0.3,
    -0.3,
)  # per octave, expected: larger batches need more epochs, and each of these is cheaper
SLOPE_SD = 0.3
BEND_SD = 0.3  # of the deviation from the line
OWN_SD = 0.06  # of a batch's own deviation, shared with no other
LEVEL_SD = 3.0
NOISE = 0.13  # expected standard deviation of a run's epochs about their mean, as a logarithm, with the weight of NOISE_RUNS runs
NOISE_RUNS = 2
LATER = 0.15  # a run that was stopped would have reached the target later than is expected by this much, as a logarithm
KNOWN = 1e-4  # variance of a measured cost of an epoch
RANGE = 12.0  # logarithms beyond this from the least are cut: no decision depends on them


@dataclass(frozen=True)
class Seen:
    """A run: log2 of its batch, its epochs, and whether it reached the target with them."""

    octave: float
    epochs: int
    reached: bool


class Curve:
    """The posterior of one curve.

    Attributes:
        scatter: standard deviation of one run about the curve.
    """

    def __init__(
        self,
        start: float,
        octaves: np.ndarray,
        values: np.ndarray,
        variances: np.ndarray,
        slope: float,
        own: float,
        scatter: float,
    ) -> None:
        """`octaves`, `values`, `variances`: (n,) of what was observed; the line starts at `start` with the first value."""
        self._start, self._octaves, self._variances = start, octaves, variances
        self._slope, self._own, self._level = slope, own, float(values[0])
        self.scatter = scatter
        self._fit(values)

    @classmethod
    def of_epochs(cls, start: float, runs: Sequence[Seen]) -> Curve:
        """From runs, the first of which reached the target. What a stopped run would have needed is estimated from the others."""
        octaves = np.array([run.octave for run in runs])
        values = np.log([run.epochs for run in runs])
        stopped = np.array([not run.reached for run in runs])
        variance = _variance(runs)
        variances = variance + np.where(stopped, LATER**2, 0.0)
        curve = cls(start, octaves, values, variances, EPOCHS_SLOPE, OWN_SD, variance**0.5)
        for _ in range(4 if stopped.any() else 0):
            expected, _ = curve._posterior(octaves[stopped])
            guessed = values.copy()
            guessed[stopped] = np.maximum(values[stopped], expected) + LATER
            curve._fit(guessed)
        return curve

    @classmethod
    def of_costs(cls, start: float, costs: Mapping[int, float]) -> Curve:
        """From the cost of an epoch by batch, the first of which is the default."""
        octaves = np.log2(np.array(list(costs), dtype=float))
        values = np.log(list(costs.values()))
        return cls(start, octaves, values, np.full(len(costs), KNOWN), COSTS_SLOPE, 0.0, 0.0)

    def draw(self, octaves: np.ndarray, samples: int, rng: np.random.Generator) -> np.ndarray:
        """(samples, len(octaves)) curves from the posterior."""
        mean, covariance = self._posterior(octaves)
        root = np.linalg.cholesky(covariance + 1e-8 * np.eye(len(mean)))
        drawn = mean + rng.standard_normal((samples, len(mean))) @ root.T
        clipped: np.ndarray = np.clip(drawn, mean.min() - RANGE, mean.min() + RANGE)
        return clipped

    def _line(self, octaves: np.ndarray) -> np.ndarray:
        return self._level + self._slope * (octaves - self._start)

    def _fit(self, values: np.ndarray) -> None:
        self._root = np.linalg.cholesky(self._kernel(self._octaves, self._octaves) + np.diag(self._variances))
        residual = values - self._line(self._octaves)
        self._weights = np.linalg.solve(self._root.T, np.linalg.solve(self._root, residual))

    def _posterior(self, octaves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        across = self._kernel(octaves, self._octaves)
        half = np.linalg.solve(self._root, across.T)
        return self._line(octaves) + across @ self._weights, self._kernel(octaves, octaves) - half.T @ half

    def _kernel(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        apart = a[:, None] - b[None, :]
        slope = SLOPE_SD**2 * np.outer(a - self._start, b - self._start)
        kernel: np.ndarray = (
            LEVEL_SD**2 + slope + BEND_SD**2 * np.exp(-0.5 * (apart / LENGTH) ** 2) + self._own**2 * (apart == 0)
        )
        return kernel


def _variance(runs: Sequence[Seen]) -> float:
    """Of the logarithm of a run's epochs about its batch's mean, from batches that ran more than once and what is expected."""
    by_batch: dict[float, list[float]] = defaultdict(list)
    for run in runs:
        if run.reached:
            by_batch[run.octave].append(float(np.log(run.epochs)))
    freedom = NOISE_RUNS + sum(len(values) - 1 for values in by_batch.values())
    squares = NOISE_RUNS * NOISE**2 + sum(len(values) * float(np.var(values)) for values in by_batch.values())
    return squares / freedom
