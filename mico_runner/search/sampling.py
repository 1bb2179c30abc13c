"""Random configurations within the constraints that need no evaluation."""

from __future__ import annotations

import numpy as np

from mico_runner.search.problem import Problem
from mico_runner.search.space import ENUMERABLE

_DRAWS = 20_000  # configurations per round of rejection
_RARE = 1e-3  # share of affordable ones under which rejection gives way to repair
_ROUNDS = 20  # of rejection or repair without enough new ones before the sampler gives up


class Sampler:
    """Draws configurations that nobody has seen and that keep the cost constraints.

    Uniform where the space can be enumerated or affordable ones are not rare; else random ones are repaired towards `anchor`,
    then shaken.

    Args:
        anchor: (layers,) a configuration that keeps the cost constraints.
    """

    def __init__(self, problem: Problem, anchor: np.ndarray, rng: np.random.Generator) -> None:
        self._problem, self._anchor, self._rng = problem, anchor, rng
        self._pool: np.ndarray | None = None
        self._rejects = True
        if problem.space.size <= ENUMERABLE:
            everything = rng.permutation(problem.space.enumerate())
            self._pool = everything[problem.affordable(everything)]
        else:
            draws = problem.space.sample(_DRAWS, rng)
            self._rejects = problem.affordable(draws).mean() >= _RARE

    def draw(self, count: int, seen: set[bytes]) -> np.ndarray:
        """(k, layers) distinct configurations not in `seen`; k < count only when (nearly) all were seen."""
        found: dict[bytes, np.ndarray] = {}
        for _ in range(1 if self._pool is not None else _ROUNDS):
            for config in self._candidates(count):
                if len(found) < count and config.tobytes() not in seen:
                    found.setdefault(config.tobytes(), config)
            if len(found) == count:
                break
        return np.array(list(found.values()), dtype=np.int64).reshape(-1, len(self._problem.space.layers))

    def _candidates(self, count: int) -> np.ndarray:
        if self._pool is not None:
            return self._pool
        space = self._problem.space
        if self._rejects:
            draws = space.sample(_DRAWS, self._rng)
            return draws[self._problem.affordable(draws)]
        draws = repair(self._problem, space.sample(2 * count, self._rng), self._anchor, self._rng)
        return shake(self._problem, draws, self._rng)


def repair(problem: Problem, configs: np.ndarray, anchor: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Copies that keep the cost constraints: layer after layer, in random order, takes the anchor's choice until they do."""
    configs = configs.copy()
    order = rng.permuted(np.tile(np.arange(configs.shape[1]), (len(configs), 1)), axis=1)
    for layer in order.T:
        broken = np.flatnonzero(~problem.affordable(configs))
        if not len(broken):
            break
        configs[broken, layer[broken]] = anchor[layer[broken]]
    return configs


def shake(problem: Problem, configs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random walk within the cost constraints: single-layer moves, as many as four per layer, each kept if affordable."""
    configs = configs.copy()
    rows = np.arange(len(configs))
    for _ in range(4 * configs.shape[1]):
        layer = rng.integers(0, configs.shape[1], len(configs))
        moved = configs.copy()
        moved[rows, layer] = problem.space.sample(len(configs), rng)[rows, layer]
        good = problem.affordable(moved)
        configs[good] = moved[good]
    return configs


def fill(problem: Problem, configs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Copies with random layers moved to more bits as far as the cost constraints let them: towards where accuracy is highest."""
    configs = configs.copy()
    rows = np.arange(len(configs))
    bits = np.array(problem.space.choices, dtype=float)
    for _ in range(4 * configs.shape[1]):
        layer = rng.integers(0, configs.shape[1], len(configs))
        moved = configs.copy()
        moved[rows, layer] = problem.space.sample(len(configs), rng)[rows, layer]
        wider = (bits[moved[rows, layer]] >= bits[configs[rows, layer]]).all(axis=1)
        good = wider & problem.affordable(moved)
        configs[good] = moved[good]
    return configs
