"""Sensitivities of all layers and bits from gradients, then integer programming."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from mico_runner.search import register
from mico_runner.search.curvature import Curvature
from mico_runner.search.exact import Exact
from mico_runner.search.problem import Problem
from mico_runner.search.surrogate import AdditiveSurrogate


@register("gradient", params={})
class Gradient(Exact):
    """Integer programming over sensitivities that gradients give, without any evaluation for them.

    The sensitivity of a layer at some bits is the mean square of the gradient of the loss times the error that these bits make in the
    layer's output: one backward pass on calibration data for all layers, as in NVIDIA's AutoQuantize (Model Optimizer, 2024) and, with
    the trace of the Hessian, HAWQ-V3 (Z. Yao et al., ICML 2021). We differ: products of gradient and error are summed within a sample
    before they are squared, which keeps the signs; and every evaluation corrects the sensitivities (`surrogate`).
    """

    def __init__(self, problem: Problem, feasible_start: np.ndarray, rng: np.random.Generator) -> None:
        super().__init__(problem, feasible_start, rng, share=0.0)
        self._known = Curvature(problem).sensitivity

    @cached_property
    def _surrogate(self) -> AdditiveSurrogate:
        return AdditiveSurrogate(self.problem.space, self._known)

    @property
    def _measured(self) -> int:
        return len(self.configs)
