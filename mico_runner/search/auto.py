"""The default: what is known without an evaluation first, then the best of several models of the loss by turns."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from mico_runner.search import register
from mico_runner.search.allocating import Limit
from mico_runner.search.curvature import Curvature
from mico_runner.search.exact import Exact
from mico_runner.search.greedy import relaxed
from mico_runner.search.problem import Problem
from mico_runner.search.surrogate import AdditiveSurrogate
from mico_runner.search.uniform import uniforms

_UNIFORM = 8  # one evaluation in so many may go to uniform bits
_BOLD = 1.0  # standard deviations taken off uncertain effects, one turn in `_TURNS`
_TURNS = 3
_LARGE = 512  # choices of all layers together, beyond which an allocation is to take milliseconds


@register("auto", params={})
class Auto(Exact):
    """Uniform bits, then allocations by what calibration data tell of the layers, corrected by every result.

    It begins as an engineer would, with the most bits that the limits allow and the best uniform ones. Where gradients tell each
    layer's sensitivity (`gradient`) all other evaluations are exact allocations over them: two by their expected values or for the
    front, then one that is optimistic about what is uncertain. Elsewhere half of the budget measures sensitivities first (`exact`).
    """

    def __init__(self, problem: Problem, feasible_start: np.ndarray, rng: np.random.Generator) -> None:
        self._known = problem.curvature is not None
        super().__init__(problem, feasible_start, rng, share=0.0 if self._known else 0.5)
        self._uniform = uniforms(problem)[: problem.budget.evaluations // _UNIFORM]

    @cached_property
    def _surrogate(self) -> AdditiveSurrogate:
        known = Curvature(self.problem).sensitivity if self._known else None
        return AdditiveSurrogate(self.problem.space, known)

    def ask(self, n: int) -> np.ndarray:
        if len(self.configs) == 1:
            simple = self.new(self._uniform)[:n]
            if len(simple):
                return simple
        return super().ask(n)

    def solve(self, table: np.ndarray, limits: list[Limit]) -> np.ndarray | None:
        """Exact but in large spaces under one limit, where the relaxation is all but as good and takes milliseconds."""
        space = self.problem.space
        if sum(space.counts) <= _LARGE:
            return super().solve(table, limits)
        if not limits:
            least: np.ndarray = np.where(space.mask, table, np.inf).argmin(axis=1)
            return least
        if not all(np.array_equal(limit, limits[0][0]) for limit, _ in limits):
            return super().solve(table, limits)
        return relaxed(space, table, limits[0][0], min(highest for _, highest in limits))

    @property
    def _measured(self) -> int:
        return len(self.configs) if self._known else super()._measured

    def _candidate(self) -> np.ndarray:
        if self._known and self._axis is None and self._turn % _TURNS == _TURNS - 1:
            self._turn += 1
            bold = self._surrogate.mean - _BOLD * self._surrogate.std
            return self.allocate(bold, list(self.problem.limits()))
        return super()._candidate()
