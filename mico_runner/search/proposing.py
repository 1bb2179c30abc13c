"""What searchers share that learn a model of the loss and ask for the best of many candidates by it, one at a time."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from mico_runner.search.base import Searcher
from mico_runner.search.problem import MEASURED, Metrics, Problem
from mico_runner.search.sampling import fill, repair
from mico_runner.search.surrogate import loss_limit

FILLED = 64  # draws that take as many bits as the limits allow
_PARENTS = 4  # of the candidates near the best


class Proposing(Searcher):
    """First `initial` configurations, at most half of the budget; then each time the candidate of the lowest score.

    Where the most important objective is a cost, that cost is what counts among candidates whose score keeps the quality's limit.
    """

    def __init__(self, problem: Problem, feasible_start: np.ndarray, rng: np.random.Generator, initial: int) -> None:
        super().__init__(problem, feasible_start, rng)
        self._initial = min(initial, max(1, problem.budget.evaluations // 2))

    def ask(self, n: int) -> np.ndarray:
        if not len(self.configs):
            return self.start[None]
        left = min(n, self._initial - len(self.configs))
        found = self.new(self.first(left))[:left] if left > 0 else self._best()
        return found if len(found) else self.sampler.draw(1, self.seen)

    def first(self, count: int) -> np.ndarray:
        """(k, layers) configurations to begin with, after the start."""
        return self.sampler.draw(count, self.seen)

    @abstractmethod
    def score(self, candidates: np.ndarray) -> np.ndarray:
        """(P,) lower is better, in the unit of the loss."""

    def candidates(self, count: int) -> np.ndarray:
        """(k, layers) about `count` new configurations within the additive limits: random ones, a part of them at the limit, and
        such as differ little from the best that were observed."""
        draws = self.sampler.draw(count // 2, self.seen)
        if len(draws):
            filled = fill(self.problem, draws[:FILLED], self.rng)
            draws = np.concatenate([filled, draws])
        return self.new(np.concatenate([draws, self._near_best(count // 2)]))

    def _near_best(self, count: int) -> np.ndarray:
        """(count, layers) the best observed ones with one or a few layers changed, within the additive limits."""
        parents = self.configs[order(self.problem, self.metrics, self.configs, self.observed_loss)[:_PARENTS]]
        children = parents[self.rng.integers(len(parents), size=count)]
        moved = self.rng.random(children.shape) < 1.5 / children.shape[1]
        moved[np.arange(count), self.rng.integers(children.shape[1], size=count)] = True
        children = np.where(moved, self.problem.space.sample(count, self.rng), children)
        return repair(self.problem, children, self.feasible_start, self.rng)

    def _best(self) -> np.ndarray:
        """(1, layers) the cheap-feasible candidate of the best score, (0, layers) where there is none."""
        found = self.candidates(1_000)
        if not len(found):
            return found
        ranked = found[order(self.problem, self.metrics, found, self.score(found))]
        return self.problem.affordable_ones(ranked, 1)


def order(problem: Problem, metrics: Metrics, configs: np.ndarray, loss: np.ndarray) -> np.ndarray:
    """Indices of configurations (P, layers), the best first, by an expected loss (P,); `metrics` are those of what was observed."""
    first = problem.objectives[0]
    if first.metric in MEASURED or first.metric not in problem.costs:
        return np.argsort(loss, kind="stable")
    highest = loss_limit(problem, metrics)
    missed = np.zeros(len(loss)) if highest is None else np.maximum(loss - highest, 0.0)
    return np.lexsort((loss, first.sign * problem.cost(first.metric, configs), missed))
