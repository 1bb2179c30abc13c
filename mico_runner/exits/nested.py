"""NSGA-II inside NSGA-II, as HADAS searches (Bouzidi et al., DATE 2023), with pygmo: to compare with the exact choice.

The outer one chooses which exits there are, by the least energy and the best accuracy that the inner one finds for them; the inner one
chooses margins and clocks.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mico_runner.exits.exact import EXACT
from mico_runner.exits.problem import Choice, Problem, valued

OUTER = (8, 4)  # population and generations
INNER = (40, 60)
BEYOND = 1e3  # of a choice that takes too long: energy in multiples of what it takes


class _Inner:
    """Margins and clocks of one set of exits, as pygmo takes a problem."""

    def __init__(self, problem: Problem, chosen: tuple[int, ...]) -> None:
        self.problem, self.chosen = problem, chosen
        self.levels = [problem.tried(exit) for exit in chosen]

    def choice(self, x: np.ndarray) -> Choice:
        at = x.astype(int)
        margins = [int(level[i]) for level, i in zip(self.levels, at, strict=False)]
        return valued(self.problem, self.chosen, margins, tuple(int(i) for i in at[len(self.chosen) :]))

    def fitness(self, x: np.ndarray) -> list[float]:
        found = self.choice(x)
        late = max(found.seconds / self.problem.seconds - 1, 0.0)
        return [found.joules * (1 + BEYOND * late), -found.accuracy]

    def get_nobj(self) -> int:
        return 2

    def get_nix(self) -> int:
        return 2 * len(self.chosen) + 1

    def get_bounds(self) -> tuple[list[float], list[float]]:
        highest = [len(level) - 1.0 for level in self.levels]
        highest += [len(self.problem.points) - 1.0] * (len(self.chosen) + 1)
        return [0.0] * len(highest), highest


class _Outer:
    """Which exits there are."""

    def __init__(self, problem: Problem, seed: int) -> None:
        self.problem, self.seed = problem, seed
        self.known: dict[tuple[int, ...], list[Choice]] = {}

    def fitness(self, x: np.ndarray) -> list[float]:
        chosen = tuple(int(i) for i in np.flatnonzero(x > 0.5))
        if chosen not in self.known:
            inner = _Inner(self.problem, chosen)
            found = [inner.choice(row) for row in _evolved(inner, *INNER, self.seed).get_x()]
            self.known[chosen] = [choice for choice in found if choice.seconds <= self.problem.seconds]
        best = _best(self.problem, self.known[chosen])
        if best is None:
            return [float(self.problem.joules_per_cycle.max() * self.problem.backbone.sum() * BEYOND), 0.0]
        return [best.joules, -best.accuracy]

    def get_nobj(self) -> int:
        return 2

    def get_nix(self) -> int:
        return self.problem.exits

    def get_bounds(self) -> tuple[list[float], list[float]]:
        return [0.0] * self.problem.exits, [1.0] * self.problem.exits


def solve(problem: Problem, seed: int) -> Choice | None:
    """The least energy within the limits that the search finds; None where it finds none within them."""
    outer = _Outer(problem, seed)
    alone = [valued(problem, (), (), (clock,)) for clock in range(len(problem.points))]
    outer.known[()] = [choice for choice in alone if choice.seconds <= problem.seconds]
    known = _evolved(outer, *OUTER, seed).problem.extract(_Outer).known  # pygmo's own copy
    return _best(problem, [choice for found in known.values() for choice in found])


def _evolved(problem: Any, size: int, generations: int, seed: int) -> Any:
    import pygmo

    population = pygmo.population(pygmo.problem(problem), size=size, seed=seed + 1)
    return pygmo.algorithm(pygmo.nsga2(gen=generations, seed=seed + 1)).evolve(population)


def _best(problem: Problem, choices: list[Choice]) -> Choice | None:
    limit = 100 * float(problem.right[-1].mean()) - problem.drop - EXACT
    good = [choice for choice in choices if choice.accuracy >= limit]
    return min(good, key=lambda choice: choice.joules, default=None)
