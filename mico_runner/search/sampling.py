"""Random configurations within the constraints that need no evaluation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mico_runner.search.problem import Problem
from mico_runner.search.space import ENUMERABLE

_DRAWS = 20_000  # configurations per round of rejection
_RARE = 1e-3  # share of cheap-feasible ones under which rejection gives way to repair
_MOVES = 4  # of a random walk, per layer
_ROUNDS = 20  # of rejection or repair without enough new ones before the sampler gives up


class Sampler:
    """Draws configurations that nobody has seen and that keep the constraints which need no evaluation.

    Uniform where the space can be enumerated or cheap-feasible ones are not rare; else random ones are repaired towards `feasible_start`,
    then perturbed.

    Args:
        feasible_start: (layers,) a configuration that keeps those constraints.
    """

    def __init__(self, problem: Problem, feasible_start: np.ndarray, rng: np.random.Generator) -> None:
        self._problem, self._feasible_start, self._rng = problem, feasible_start, rng
        self._pool: np.ndarray | None = None
        self._rejects = True
        if problem.space.size <= ENUMERABLE:
            everything = rng.permutation(problem.space.enumerate())
            self._pool = everything[problem.within(everything)]
        else:
            draws = problem.space.sample(_DRAWS, rng)
            self._rejects = problem.within(draws).mean() >= _RARE

    def draw(self, count: int, seen: set[bytes]) -> np.ndarray:
        """(k, layers) distinct configurations not in `seen`; k < count only when (nearly) all were seen."""
        seen = set(seen)
        found = self._feasible_start[None][:0]
        if self._pool is not None:
            fresh = self._new(self._pool, seen, len(self._pool))
            while len(found) < count and len(fresh):
                part, fresh = fresh[:count], fresh[count:]
                found = np.concatenate([found, part[self._problem.cheap_feasible(part)]])
            return found[:count]
        for attempt in range(_ROUNDS):
            if len(found) >= count:
                break
            draws = self._new(self._candidates(count, attempt), seen, count)
            found = np.concatenate([found, draws[self._problem.cheap_feasible(draws)]])
        return found[:count]

    def _new(self, configs: np.ndarray, seen: set[bytes], count: int) -> np.ndarray:
        """The first `count` that are not in `seen`, to which they are added."""
        kept: list[int] = []
        for i, config in enumerate(configs):
            if len(kept) == count:
                break
            if config.tobytes() not in seen:
                seen.add(config.tobytes())
                kept.append(i)
        return configs[kept]

    def _candidates(self, count: int, attempt: int) -> np.ndarray:
        space = self._problem.space
        if self._rejects:
            draws = space.sample(_DRAWS, self._rng)
            draws = draws[self._problem.within(draws)][: 2 * count]
        else:
            draws = repair(self._problem, space.sample(2 * count, self._rng), self._feasible_start, self._rng)
            draws = perturb(self._problem, draws, self._rng)
        if attempt < 2:
            return draws
        return repair(
            self._problem, draws, self._feasible_start, self._rng, self._problem.cheap_feasible
        )  # others are hard to keep


def repair(
    problem: Problem,
    configs: np.ndarray,
    feasible_start: np.ndarray,
    rng: np.random.Generator,
    kept: Callable[[np.ndarray], np.ndarray] | None = None,
) -> np.ndarray:
    """Copies that keep the additive constraints, or what `kept` says: layer by layer the feasible start's choice, until they do."""
    kept = kept or problem.within
    configs = configs.copy()
    order = rng.permuted(np.tile(np.arange(configs.shape[1]), (len(configs), 1)), axis=1)
    for layer in order.T:
        broken = np.flatnonzero(~kept(configs))
        if not len(broken):
            break
        configs[broken, layer[broken]] = feasible_start[layer[broken]]
    return configs


def perturb(problem: Problem, configs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random walk within the additive constraints: as many single-layer moves as four per layer."""
    return _walk(problem, configs, rng, lambda old, new: np.ones(len(old), dtype=bool))


def fill(problem: Problem, configs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Random layers move to more bits as far as the additive constraints let them: towards where quality is highest."""
    bits = np.array(problem.space.choices, dtype=float)
    return _walk(problem, configs, rng, lambda old, new: (bits[new] >= bits[old]).all(axis=1))


def _walk(
    problem: Problem,
    configs: np.ndarray,
    rng: np.random.Generator,
    wanted: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> np.ndarray:
    """Copies after random single-layer moves, each made if wanted(old choice, new choice) and cheap-feasible."""
    configs = configs.copy()
    rows = np.arange(len(configs))
    for _ in range(_MOVES * configs.shape[1]):
        layer = rng.integers(0, configs.shape[1], len(configs))
        moved = configs.copy()
        moved[rows, layer] = problem.space.sample(len(configs), rng)[rows, layer]
        good = wanted(configs[rows, layer], moved[rows, layer]) & problem.within(moved)
        configs[good] = moved[good]
    return configs
