"""nearest: every weight by itself."""

from __future__ import annotations

import numpy as np

from mico_runner.quant.rounding import register
from mico_runner.quant.rounding.base import Problem, Rounding
from mico_runner.quant.weights import round_weights


@register("nearest")
class Nearest(Rounding):
    """The integer nearest to each of the layer's own weights; scales and biases are corrected as with the other methods."""

    def layer(self, problem: Problem, scales: np.ndarray, bits: float) -> np.ndarray:
        return round_weights(problem.own, scales, bits)
