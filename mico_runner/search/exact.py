"""Exact allocation over additive sensitivities, corrected by what the candidates measure.

1. The base where the cost constraints allow it, else the configuration nearest to it that they allow (`start`).
2. Sensitivities: the loss added by changing one layer of the base, the configuration with the most bits. All of them when they fit
   half of the budget; else those that the best allocation under optimistic estimates asks for, until its choices are all measured.
3. The best allocation by integer programming (HiGHS) under the cost constraints, gap 0. It is evaluated, the sensitivities are
   corrected by all evaluations so far (`surrogate`), known configurations are excluded, and so on until the budget is spent.
   Every second allocation bounds the cost objective in the middle of the widest gap of the front instead, which draws the front.

With additive losses and all sensitivities measured the first allocation is the optimum. The same programme with Hessian traces
instead of measured losses is HAWQ-V3's (Yao et al. 2021).
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from mico_runner.search import register
from mico_runner.search.allocating import Allocating, Limit
from mico_runner.search.front import front
from mico_runner.search.milp import allocate
from mico_runner.search.problem import MEASURED, Problem
from mico_runner.search.start import noise
from mico_runner.search.surrogate import AdditiveSurrogate, loss_limit

_SWEEP = 2  # one allocation in so many is for the front
_OPTIMISM = 1.0  # posterior standard deviations taken off unmeasured sensitivities


@register("exact", params={"share": {"type": "float", "min": 0.0, "max": 1.0, "default": 0.5}})
class Exact(Allocating):
    """Integer programming over measured per-layer sensitivities; `share` of the budget may go to measuring them."""

    def __init__(
        self, problem: Problem, feasible_start: np.ndarray, rng: np.random.Generator, share: float = 0.5
    ) -> None:
        super().__init__(problem, feasible_start, rng)
        self._quota = int(share * problem.budget.evaluations)  # evaluations of the base and its single-layer changes
        self._measuring = True
        self._turn = 0
        names = [o.metric for o in problem.objectives]
        self._axis = next((o for o in problem.objectives if o.metric in problem.costs), None)
        if not any(name in MEASURED for name in names):
            self._axis = None  # nothing to trade the cost against

    @cached_property
    def _surrogate(self) -> AdditiveSurrogate:
        return AdditiveSurrogate(self.problem.space)

    def ask(self, n: int) -> np.ndarray:
        if not len(self.configs):
            return self.start[None]
        self._surrogate.fit(self.configs, self.observed_loss)
        if self._measuring:
            probes = self._probes()[: min(n, self._quota - self._measured)]
            if len(probes):
                return probes
            self._measuring = False
        return self._candidate()

    @property
    def _measured(self) -> int:
        """Evaluations so far that count as sensitivities: not the first one where the base is beyond the cost constraints."""
        return len(self.configs) - (not np.array_equal(self.start, self.problem.space.base))

    def _probes(self) -> np.ndarray:
        """(k, layers) single-layer changes of the base that are still to be measured."""
        space = self.problem.space
        if self._quota < 2 and not self._measured:
            return self.configs[:0]  # the base without a change of it says nothing
        if not self._measured:
            return space.base[None]
        wanted = space.mask.copy()
        wanted[np.arange(len(space.layers)), space.base] = False
        if 1 + wanted.sum() > self._quota:
            if self._quota <= self._measured:
                return self.configs[:0]
            optimistic = self._surrogate.mean - _OPTIMISM * self._surrogate.std
            best = allocate(space, optimistic, self.problem.limits())
            chosen = np.zeros_like(wanted)
            chosen[np.arange(len(space.layers)), best] = True
            wanted &= chosen
        layer, choice = np.nonzero(wanted)
        order = np.argsort(-self._surrogate.std[layer, choice], kind="stable")
        probes = np.tile(space.base, (len(order), 1))
        probes[np.arange(len(order)), layer[order]] = choice[order]
        return self.new(probes)

    def _candidate(self) -> np.ndarray:
        """(1, layers) the best new allocation, (0, layers) when all are known."""
        self._turn += 1
        limits = list(self.problem.limits())
        bound = self._sweep(limits) if self._turn % _SWEEP == 0 else None
        if bound is not None:
            found = self.allocate(self._surrogate.mean, [*limits, bound])
            if len(found):
                return found
        first = self.problem.objectives[0]
        quality = self._quality_limit()
        if first.metric in self.problem.costs:
            table = first.sign * self.problem.costs[first.metric].table
            found = self.allocate(table, [*limits, *quality])
            if len(found):
                return found
        return self.allocate(self._surrogate.mean if self._measured else noise(self.problem.space), limits)

    def _quality_limit(self) -> list[Limit]:
        """The quality constraint as a bound on the sum of sensitivities."""
        highest = loss_limit(self.problem, self.metrics)
        return [] if highest is None else [(self._surrogate.mean, highest - self._surrogate.base_loss)]

    def _sweep(self, limits: list[Limit]) -> Limit | None:
        """A bound on the cost objective in the middle of the widest gap of the front."""
        if self._axis is None:
            return None
        cost, sign = self.problem.costs[self._axis.metric], self._axis.sign
        feasible = np.flatnonzero(self.problem.violation(self.metrics) == 0)
        least = self.solve(sign * cost.table, [*limits, *self._quality_limit()])
        if least is None or not len(feasible):
            return None
        kept = feasible[front(self.problem.minimised(self.metrics)[feasible])]
        values = sign * np.append(
            self.metrics[self._axis.metric][kept], self.problem.cost(self._axis.metric, least[None])
        )
        values.sort()
        at = np.argmax(np.diff(values))
        return sign * cost.table, float(values[at : at + 2].mean() - sign * cost.fixed)
