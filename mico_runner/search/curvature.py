"""What calibration data tell of the loss without an evaluation, as searchers use it: sensitivities and interactions."""

from __future__ import annotations

import numpy as np

from mico_runner.errors import StepError
from mico_runner.search.problem import Problem


class Curvature:
    """`Problem.curvature`, computed once.

    Attributes:
        sensitivity: (layers, choices) each layer's own share of the loss.
    """

    def __init__(self, problem: Problem) -> None:
        """Raises StepError: the problem has none, or it has another shape."""
        if problem.curvature is None:
            raise StepError("search: this algorithm needs the curvature of the loss, which the problem does not have")
        matrix = np.asarray(problem.curvature(), dtype=np.float64)
        layers, choices = problem.space.mask.shape
        if matrix.shape != (layers * choices,) * 2:
            raise StepError(f"search: curvature of shape {matrix.shape}; wanted: {(layers * choices,) * 2}")
        self._choices = choices
        self.sensitivity: np.ndarray = np.diag(matrix).reshape(layers, choices) / 2
        between = matrix.reshape(layers, choices, layers, choices).copy()
        between[np.arange(layers), :, np.arange(layers), :] = 0.0
        self._between = between.reshape(matrix.shape)

    def interaction(self, configs: np.ndarray) -> np.ndarray:
        """(P,) what pairs of layers add to the sum of their sensitivities."""
        at = configs + np.arange(configs.shape[1]) * self._choices
        total: np.ndarray = self._between[at[:, :, None], at[:, None, :]].sum(axis=(1, 2)) / 2
        return total

    def linearised(self, config: np.ndarray) -> np.ndarray:
        """(layers, choices) what a layer adds to the interactions at each choice while all others stay as in config (layers,)."""
        at = config + np.arange(len(config)) * self._choices
        total: np.ndarray = self._between[:, at].sum(axis=1).reshape(len(config), self._choices)
        return total
