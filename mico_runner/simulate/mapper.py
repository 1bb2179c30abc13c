"""Searches mappings of a convolution or a matrix product on a hierarchy: tilings x spatial unrolling x loop orders.

A mapping splits every dimension over the slots of the machine (each memory's temporal loops, and one spatial slot) so that the
factors multiply to the dimension. Spaces that fit the budget are seen whole, others by a seeded sample without replacement of
tilings; the result says which.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import prod
from time import monotonic

import numpy as np

from mico_runner.errors import UsageError
from mico_runner.simulate.hierarchy import Loop, Machine, Operand, evaluate

OBJECTIVES = ("cycles", "energy", "edp")
_BATCH = 8192


@dataclass(frozen=True)
class Best:
    """The best mapping found.

    Attributes:
        cycles, energy_pj: its cost.
        nest: as `hierarchy.evaluate` takes it.
        seen, space: mappings evaluated, and how many there are; `seen == space` is the optimum of this space.
        valid: of those seen, how many fit the memories.
        seconds: spent.
    """

    cycles: int
    energy_pj: float
    nest: list[list[Loop]]
    seen: int
    space: int
    valid: int
    seconds: float


def search(
    dimensions: Mapping[str, int],
    operands: tuple[Operand, ...],
    machine: Machine,
    spatial: Mapping[str, int],
    spatial_at: int = -2,
    objective: str = "edp",
    budget: int = 20_000,
    seconds: float = 60.0,
    seed: int = 0,
) -> Best:
    """The best mapping seen within a budget.

    Args:
        dimensions: extent of each dimension of the workload.
        operands: its tensors.
        machine: where it runs.
        spatial: the dimensions that may run side by side and each one's widest extent, e.g. {"K": 32, "C": 32}. Each is unrolled
            by its largest divisor within that extent, the machine's multipliers permitting.
        spatial_at: the memory under which the array lies, as an index into `machine.memories`.
        objective: "cycles" (least energy among equals), "energy" (least cycles among equals) or "edp", cycles times energy.
        budget: mappings to evaluate at most.
        seconds: no batch starts after this time; results depend on the machine's speed only when this limit is what ends the search.
        seed: of the sample.

    Raises:
        UsageError: unknown objective or dimension, or no mapping seen fits: names the memories that were too small.
    """
    if objective not in OBJECTIVES:
        raise UsageError(f"objective is {objective!r}; allowed: {', '.join(OBJECTIVES)}")
    unknown = sorted(set(spatial) - set(dimensions))
    if unknown:
        raise UsageError(f"spatial dimension {unknown[0]!r}; allowed: {', '.join(dimensions)}")
    start = monotonic()
    side = {d: _widest(dimensions[d], extent) for d, extent in spatial.items()}
    if prod(side.values()) > machine.macs:
        raise UsageError(
            f"{prod(side.values())} multipliers side by side; allowed: {machine.macs}, those of the machine"
        )
    levels = len(machine.memories)
    names = [d for d, extent in dimensions.items() if extent // side.get(d, 1) > 1] or list(dimensions)[:1]
    splits = [_splits(dimensions[d] // side.get(d, 1), levels) for d in names]
    orders = _orders(names, operands, levels)
    tilings = prod(map(len, splits))
    best, seen, valid = None, 0, 0
    per_order = max(1, budget // len(orders))
    for chosen in _indices(tilings, per_order, seed):
        factors = _factors(splits, chosen)
        for order in orders:
            if seen and (monotonic() - start > seconds or seen + len(chosen) > max(budget, len(chosen))):
                break
            nest = _nest(names, factors, order, side, spatial_at % levels)
            cost = evaluate(nest, operands, machine)
            seen += len(chosen)
            valid += int(cost.fits.sum())
            if cost.fits.any():
                energy = cost.total_pj
                ranked = {
                    "cycles": (energy, cost.cycles),
                    "energy": (cost.cycles, energy),
                    "edp": (energy, energy * cost.cycles),
                }
                second, first = (np.where(cost.fits, score, np.inf) for score in ranked[objective])
                at = np.lexsort((second, first))[0]
                score = (first[at], second[at])
                if best is None or score < best[0]:
                    best = (score, int(cost.cycles[at]), float(energy[at]), _single(nest, at))
    space = tilings * len(orders)
    if best is None:
        small = ", ".join(f"{m.name} ({m.size_words:g} words)" for m in machine.memories if m.size_words < np.inf)
        raise UsageError(f"no valid mapping among the {seen} of {space} seen: their tiles do not fit {small}")
    return Best(*best[1:], seen=seen, space=space, valid=valid, seconds=monotonic() - start)


def _widest(extent: int, limit: int) -> int:
    return max(n for n in range(1, min(extent, limit) + 1) if extent % n == 0)


@lru_cache(maxsize=1024)
def _splits(extent: int, slots: int) -> np.ndarray:
    """Every way to write `extent` as an ordered product of `slots` factors, (ways, slots)."""
    if slots == 1:
        return np.array([[extent]])
    parts = []
    for first in range(1, extent + 1):
        if extent % first == 0:
            rest = _splits(extent // first, slots - 1)
            parts.append(np.hstack([np.full((len(rest), 1), first), rest]))
    return np.vstack(parts)


def _orders(names: list[str], operands: tuple[Operand, ...], levels: int) -> list[tuple[tuple[str, ...], ...]]:
    """Loop orders: at each level, one operand is stationary (the loops that do not index it run innermost).

    Inside a level only what turns between an operand's own loops matters to traffic, so that one order per operand stands for many.
    The innermost level keeps its first order: its loops touch the multipliers' operands at every step.
    """

    def stationary(operand: Operand) -> tuple[str, ...]:
        return tuple(sorted(names, key=lambda d: (not operand.indexed_by(d), names.index(d))))

    each = list(dict.fromkeys(stationary(operand) for operand in operands))
    return [(*outer, each[0]) for outer in product(each, repeat=levels - 1)]


def _indices(space: int, wanted: int, seed: int) -> Iterator[np.ndarray]:
    """Batches of tilings: all of them, or `wanted` different ones."""
    if space <= wanted:
        chosen = np.arange(space)
    else:
        rng = np.random.default_rng(seed)
        chosen = np.unique(rng.integers(0, space, size=2 * wanted))
        chosen = np.sort(rng.permutation(chosen)[:wanted])
    for at in range(0, len(chosen), _BATCH):
        yield chosen[at : at + _BATCH]


def _factors(splits: list[np.ndarray], chosen: np.ndarray) -> list[np.ndarray]:
    """Factors of each dimension at each level, (tilings, levels) per dimension: `chosen` in the mixed base of the splits."""
    factors = []
    for split in splits:
        chosen, digit = np.divmod(chosen, len(split))
        factors.append(split[digit])
    return factors


def _nest(names, factors, order, side, spatial_at) -> list[list[Loop]]:
    nest = []
    for level, loops in enumerate(order):
        nest.append([Loop(d, factors[names.index(d)][:, level]) for d in loops])
        if level == spatial_at:
            nest[-1] += [Loop(d, np.array([n]), spatial=True) for d, n in side.items()]
    return nest


def _single(nest: list[list[Loop]], at: int) -> list[list[Loop]]:
    """One mapping of a batch, without loops of one turn."""
    picked = [[Loop(x.dimension, x.bound[[at if len(x.bound) > 1 else 0]], x.spatial) for x in level] for level in nest]
    return [[x for x in level if x.bound[0] > 1] for level in picked]
