"""What searchers share that ask for the best allocation by a table: the best one that is new and keeps all limits."""

from __future__ import annotations

import numpy as np

from mico_runner.search import milp
from mico_runner.search.base import Searcher
from mico_runner.search.nearby import changes

_RETRIES = 20  # allocations thrown away for being beyond a limit by less than the solver's tolerance

Limit = tuple[np.ndarray, float]  # (layers, choices) and the highest allowed sum


class Allocating(Searcher):
    """Integer programming, then its nearest relatives, as long as they are new."""

    def solve(self, table: np.ndarray, limits: list[Limit]) -> np.ndarray | None:
        """(layers,) the configuration of the least sum within the limits; None where there is none."""
        return milp.allocate(self.problem.space, table, limits)

    def allocate(self, table: np.ndarray, limits: list[Limit]) -> np.ndarray:
        """(1, layers) the best new configuration by the sum of table[layer, choice], (0, layers) when none is left."""
        best = self.solve(table, limits)
        if best is None:
            return self.configs[:0]
        overlooked = any(c.metric in self.problem.others for c in self.problem.constraints)
        if overlooked and not self.problem.cheap_feasible(best[None])[0]:
            observed = np.concatenate([self.feasible_start[None], self.configs])
            observed = observed[self.problem.cheap_feasible(observed)]
            best = observed[table[np.arange(len(best)), observed].sum(axis=1).argmin()]
        around = changes(self.problem.space, best, table, limits, None if overlooked else len(self.seen) + _RETRIES)
        candidates = self.problem.affordable_ones(self.new(np.concatenate([best[None], around])), 1 + 9 * overlooked)
        if len(candidates):
            return candidates[:1]
        if overlooked:
            return self.sampler.draw(1, self.seen)
        excluded = np.concatenate([self.configs, best[None], around])
        for _ in range(_RETRIES):
            config = milp.allocate(self.problem.space, table, limits, excluded)
            if config is None:
                return self.configs[:0]
            if self.problem.within(config[None])[0]:
                return config[None]
            excluded = np.concatenate([excluded, config[None]])
        return self.sampler.draw(1, self.seen)
