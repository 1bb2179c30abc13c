"""Edge-MPQ's programme: one sensitivity per layer, quality as a sum of weighted products of bits."""

from __future__ import annotations

import numpy as np

from mico_runner.search import register
from mico_runner.search.allocating import Allocating
from mico_runner.search.encoding import shares
from mico_runner.search.problem import Problem


@register("nlp", params={})
class Nlp(Allocating):
    """Layers + 1 evaluations, then the programme of Edge-MPQ, solved exactly.

    X. Zhao et al., "Edge-MPQ: Layer-Wise Mixed-Precision Quantization With Tightly Integrated Versatile Inference Units for Edge
    Computing", IEEE Trans. Computers 2024: maximise the sum of s_i m_i w_i a_i, where s_i is what layer i at its fewest bits adds to the
    loss, m_i its share of the MACs and w_i a_i the product of its bits. We differ: the problem is linear in the choices, so it is
    solved to optimality by integer programming, under whatever limits there are; at most half of the budget measures sensitivities,
    layers without one have their mean; and the rest of the budget goes to the next-best allocations.
    """

    def __init__(self, problem: Problem, feasible_start: np.ndarray, rng: np.random.Generator) -> None:
        super().__init__(problem, feasible_start, rng)
        space = problem.space
        fewest = np.array([min(allowed, key=lambda i: space.choices[i]) for allowed in space.allowed])
        free = np.flatnonzero(fewest != space.base)
        self._probes = np.tile(space.base, (1 + len(free), 1))
        self._probes[1 + np.arange(len(free)), free] = fewest[free]
        self._layers = np.concatenate([[-1], free])
        self._share = shares(problem)
        self._probes = self._probes[: max(1, problem.budget.evaluations // 2)]

    def ask(self, n: int) -> np.ndarray:
        if not len(self.configs):
            return self.start[None]
        probes = self.new(self._probes)[:n] if len(self._probes) > 1 else self.configs[:0]
        return probes if len(probes) else self.allocate(self._table(), list(self.problem.limits()))

    def _table(self) -> np.ndarray:
        """(layers, choices) what the programme minimises."""
        space, first = self.problem.space, self.problem.objectives[0]
        if first.metric in self.problem.costs and not any(
            c.metric not in self.problem.costs for c in self.problem.constraints
        ):
            return first.sign * self.problem.costs[first.metric].table
        loss = {config.tobytes(): value for config, value in zip(self.configs, self.observed_loss, strict=True)}
        added = [loss.get(config.tobytes(), np.nan) for config in self._probes]
        base = added[0]
        by_layer = np.full(len(space.layers), np.nan)
        for layer, value in zip(self._layers[1:], added[1:], strict=False):
            by_layer[layer] = max(value - base, 0.0)
        known = by_layer[np.isfinite(by_layer)]
        mean = float(known.mean()) if known.any() else 1.0
        product = np.array(space.choices, dtype=float).prod(axis=1)
        weight = np.where(np.isfinite(by_layer), by_layer, mean) * self._share
        table: np.ndarray = -weight[:, None] * product[None]
        return table
