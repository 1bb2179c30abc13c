"""Searches without a proof, to set beside an exact one: each sees a space of whole numbers through its values alone.

`random` draws designs; `nsga2` and `cma` are pygmo's NSGA-II (K. Deb et al., 2002; objectives: the value, and by how much the limits are
exceeded) and CMA-ES (N. Hansen, 2006; the value, above the worst one within the limits where they are exceeded). All begin with the same
design that keeps the limits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

_POPULATION = 100  # of NSGA-II, which takes multiples of four
_SIGMA = 0.3  # of CMA-ES's first step, as a share of each gene's range


@dataclass
class Genes:
    """A space of whole numbers and the best point seen of it.

    Attributes:
        sizes: number of values of each gene, int64 (genes,).
        values: of (n, genes) int64: what is minimised, float64 (n,), and by which share the limits are exceeded, (n,), 0: they
            are kept.
        first: a point that keeps the limits, (genes,).
    """

    sizes: np.ndarray
    values: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    first: np.ndarray
    best: float = field(default=np.inf, init=False)
    worst: float = field(default=0.0, init=False)
    seen: int = field(default=0, init=False)

    def measure(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The points' values and excesses, remembered."""
        value, excess = self.values(points)
        known = value[np.isfinite(value)]
        kept = value[(excess == 0) & np.isfinite(value)]
        self.best = min(self.best, float(kept.min(initial=np.inf)))
        self.worst = max(self.worst, float(known.max(initial=0.0)))
        self.seen += len(points)
        return value, excess

    def decode(self, real: np.ndarray) -> np.ndarray:
        """Points of the unit cube (n, genes) as genes."""
        whole: np.ndarray = np.minimum((real * self.sizes).astype(np.int64), self.sizes - 1)
        return whole

    def encode(self, point: np.ndarray) -> np.ndarray:
        """The middle of a point's cell of the unit cube."""
        middle: np.ndarray = (point + 0.5) / self.sizes
        return middle


def _random(genes: Genes, evaluations: int, seed: int) -> float:
    rng = np.random.default_rng(seed)
    genes.measure(genes.first[None])
    genes.measure(rng.integers(0, genes.sizes, (evaluations - 1, len(genes.sizes))))
    return genes.best


class _TwoObjectives:
    """The value and the excess, for NSGA-II."""

    def __init__(self, genes: Genes) -> None:
        self._genes = genes

    def __deepcopy__(self, memo: object) -> _TwoObjectives:
        return self  # pygmo copies a problem; what was seen is counted once

    def batch_fitness(self, flat: np.ndarray) -> np.ndarray:
        value, excess = self._genes.measure(self._genes.decode(flat.reshape(-1, len(self._genes.sizes))))
        return np.column_stack([np.where(np.isfinite(value), value, 1e300), excess]).ravel()

    def fitness(self, point: np.ndarray) -> np.ndarray:
        return self.batch_fitness(point)

    def get_nobj(self) -> int:
        return 2

    def get_bounds(self) -> tuple[np.ndarray, np.ndarray]:
        zeros = np.zeros(len(self._genes.sizes))
        return zeros, zeros + 1


class _OneObjective(_TwoObjectives):
    """The value; where the limits are exceeded, the worst value seen and more."""

    def fitness(self, point: np.ndarray) -> np.ndarray:
        value, excess = self._genes.measure(self._genes.decode(point[None]))
        broken = excess[0] > 0 or not np.isfinite(value[0])
        return np.array([self._genes.worst * (1 + excess[0]) if broken else value[0]])

    def get_nobj(self) -> int:
        return 1


def _nsga2(genes: Genes, evaluations: int, seed: int) -> float:
    import pygmo

    size = min(_POPULATION, max(8, evaluations // 8 * 4))
    population = _population(pygmo, pygmo.problem(_TwoObjectives(genes)), genes, size, seed)
    solver = pygmo.nsga2(gen=max(1, evaluations // size - 1), seed=seed)
    solver.set_bfe(pygmo.bfe(pygmo.member_bfe()))
    pygmo.algorithm(solver).evolve(population)
    return genes.best


def _cma(genes: Genes, evaluations: int, seed: int) -> float:
    import pygmo

    size = 4 + int(3 * np.log(len(genes.sizes)))  # Hansen's default
    population = _population(pygmo, pygmo.problem(_OneObjective(genes)), genes, size, seed)
    solver = pygmo.cmaes(gen=max(1, evaluations // size - 1), sigma0=_SIGMA, force_bounds=True, seed=seed)
    pygmo.algorithm(solver).evolve(population)
    return genes.best


def _population(pygmo: object, problem: object, genes: Genes, size: int, seed: int) -> object:
    rng = np.random.default_rng(seed)
    population = pygmo.population(problem, seed=seed)  # type: ignore[attr-defined]
    population.push_back(genes.encode(genes.first))
    for point in rng.random((size - 1, len(genes.sizes))):
        population.push_back(point)
    return population


HEURISTICS: dict[str, Callable[[Genes, int, int], float]] = {"random": _random, "nsga2": _nsga2, "cma": _cma}
