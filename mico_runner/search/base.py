"""The contract of a search algorithm.

Order of calls: `run` makes the searcher for a problem whose cost constraints can be met, then repeats
`configs = ask(n)`, evaluates them, `tell(configs, metrics)` until the budget is spent or `ask` returns nothing.

- `ask(n)` returns 1 to n configurations, (k, layers), of the space, distinct, none of them observed before; or none, when the
  searcher has nothing left to try. n is what the budget still allows; how many are asked for at a time is the searcher's choice.
- `tell(configs, metrics)` gives the metrics of what was asked, in the same order: the measured ones (quality, perhaps loss) and the
  free ones. When the time budget ends in the middle of a batch, only its beginning is observed, and `ask` is not called again.
- All randomness comes from `self.rng`: seed and answers determine the search, so a journal replays it exactly.
- What needs no evaluation is free to look up: `problem.free`, `problem.cheap_feasible`. The first configuration asked for keeps the cost
  constraints (`start` does), so that even one evaluation can end in a choice. A searcher that later asks for a configuration beyond
  them pays for it like for any other, and it can not be chosen.

Keyword arguments of the constructor after `rng` are the spec's `search.params`, declared in `@register(..., params={...})`.
`mico_runner.testing.check_searcher` checks an algorithm against this contract.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property

import numpy as np

from mico_runner.search.problem import LOSS, QUALITY, Metrics, Problem
from mico_runner.search.sampling import Sampler
from mico_runner.search.start import start


class Searcher(ABC):
    """Base class of all algorithms; remembers what it observed.

    Attributes:
        feasible_start: (layers,) a configuration that keeps the cost constraints, with room to spare.
        configs: (n, layers) all observed configurations in order.
        metrics: their metrics, each (n,).
        seen: the same configurations as a set of `bytes`.
        sampler: draws random new configurations within the cost constraints.
    """

    def __init__(self, problem: Problem, feasible_start: np.ndarray, rng: np.random.Generator) -> None:
        """`feasible_start` (layers,) is a configuration that keeps the cost constraints."""
        self.problem = problem
        self.feasible_start = feasible_start
        self.rng = rng
        self.sampler = Sampler(problem, feasible_start, rng)
        self.configs = np.empty((0, len(problem.space.layers)), dtype=np.int64)
        self.metrics: Metrics = {}
        self.seen: set[bytes] = set()

    @abstractmethod
    def ask(self, n: int) -> np.ndarray:
        """(k, layers) configurations to evaluate, k <= n; k = 0 ends the search."""

    def tell(self, configs: np.ndarray, metrics: Metrics) -> None:
        """Learn the metrics of the configurations that were asked for."""
        self.configs = np.concatenate([self.configs, configs])
        self.metrics = {k: np.concatenate([self.metrics.get(k, v[:0]), v]) for k, v in metrics.items()}
        self.seen.update(row.tobytes() for row in configs)

    @cached_property
    def start(self) -> np.ndarray:
        """(layers,) a good first configuration: the base, or the most bits that the cost constraints allow."""
        return start(self.problem, self.feasible_start)

    @property
    def observed_loss(self) -> np.ndarray:
        """(n,) the quality of what was observed, lower is better: the loss when evaluations give one, else the negated quality."""
        return self.metrics[LOSS] if LOSS in self.metrics else -self.metrics[QUALITY]

    def new(self, configs: np.ndarray) -> np.ndarray:
        """The distinct configurations among these that were not observed yet, in order."""
        fresh = {row.tobytes(): i for i, row in reversed(list(enumerate(configs)))}
        return configs[sorted(i for key, i in fresh.items() if key not in self.seen)]
