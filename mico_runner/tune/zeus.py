"""The published policy: pruning, then Thompson sampling with one Gaussian per batch."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np

from mico_runner.tune import register
from mico_runner.tune.base import Choices, Outcome, Policy

BETA = 2.0  # a run is stopped before it costs BETA times the cheapest recurrence so far
ROUNDS = 2  # of pruning
NOT_BEGUN = 100.0  # times the limit of its cost: what a batch is said to cost whose first epoch would break it


@register("zeus")
class Zeus(Policy):
    """Pruning and Gaussian Thompson sampling, as published (Zeus, You et al., NSDI 2023).

    Two rounds go down from the default batch and then up, each until a run misses the target; the second starts from the cheapest. Batches
    that reached it twice are the arms; each has the mean of its costs and the variance of that mean.
    """

    SLICE_SECONDS = None

    def __init__(self, choices: Choices, runs: int, rng: np.random.Generator) -> None:
        super().__init__(choices, runs, rng)
        self._costs: dict[int, list[float]] = {batch: [] for batch in choices.batches}
        self._least = float("inf")
        self._arms: list[int] = []
        self._best = choices.default
        self._rounds = self._explore()
        self._next: int | None = next(self._rounds)

    def ask(self, recurrence: int) -> int:
        if self._next is not None:
            return self._next
        drawn = {batch: self._draw(self._costs[batch]) for batch in self._arms}
        return min(drawn, key=lambda batch: drawn[batch])

    def goes_on(self, batch: int, epochs: int, epoch_cost: float) -> bool:
        return (epochs + 1) * epoch_cost <= BETA * self._least

    def tell(self, batch: int, outcome: Outcome) -> None:
        begun = outcome.cost > 0
        cost = outcome.cost if begun else NOT_BEGUN * BETA * self._least
        self._costs[batch].append(cost)
        if outcome.reached:
            self._least = min(self._least, outcome.total)
        if self._next is not None:
            try:
                self._next = self._rounds.send((cost, outcome.reached))
            except StopIteration:
                self._next = None

    def chosen(self) -> int:
        tried = self._arms or [batch for batch, costs in self._costs.items() if costs]
        return min(tried, key=lambda batch: float(np.mean(self._costs[batch])))

    def _explore(self) -> Generator[int, tuple[float, bool], None]:
        left = list(self.choices.batches)
        for _ in range(ROUNDS):
            good, least = [], float("inf")
            start = left.index(self._best)
            for way in (left[start::-1], left[start + 1 :]):
                for batch in way:
                    cost, reached = yield batch
                    if not reached:
                        break
                    good.append(batch)
                    if cost < least:
                        least, self._best = cost, batch
            left = sorted(good)
        self._arms = left or [self._best]

    def _draw(self, costs: list[float]) -> float:
        variance = float(np.var(costs))
        mean = float(np.mean(costs))
        return mean if variance == 0 else float(self.rng.normal(mean, (variance / len(costs)) ** 0.5))
