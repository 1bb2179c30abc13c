"""Searches mappings of a convolution or a matrix product on a hierarchy: tilings x spatial unrolling x loop orders.

A mapping splits every dimension over the slots of the machine (each memory's temporal loops, and one spatial slot) so that the
factors multiply to the dimension. Spaces that fit the budget are seen whole, others by a seeded sample without replacement of
tilings; the result says which.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import product
from math import prod
from time import monotonic

import numpy as np

from mico_runner.accelerators import sparsity
from mico_runner.accelerators.hierarchy import evaluate
from mico_runner.accelerators.machine import Loop, Machine, Operand
from mico_runner.accelerators.sparsity import Sparsity
from mico_runner.accelerators.traffic import tile_words
from mico_runner.errors import UsageError

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
    spatial: Mapping[str, int] | Sequence[Mapping[str, int]],
    spatial_at: int = -2,
    objective: str = "edp",
    budget: int = 20_000,
    seconds: float = 60.0,
    seed: int = 0,
    held: Mapping[str, Sequence[int]] | None = None,
    stationary: str = "",
    products: int | None = None,
    turns: np.ndarray | None = None,
    zeros: Sparsity | None = None,
) -> Best:
    """The best mapping seen within a budget.

    Args:
        dimensions: extent of each dimension of the workload.
        operands: its tensors.
        machine: where it runs.
        spatial: the dimensions that may run side by side and each one's widest extent, e.g. {"K": 32, "C": 32}: each is unrolled
            by its largest divisor within that extent. Or the unrollings to see, as `dataflow.unrollings` finds them: a
            dimension that one of their factors does not divide is padded.
        spatial_at: the memory under which the array lies, as an index into `machine.memories`.
        objective: "cycles" (least energy among equals), "energy" (least cycles among equals) or "edp", cycles times energy.
        budget: mappings to see at most. Which ones are seen depends on it and on the seed, never on the memories' sizes or speeds.
        seconds: no batch starts after this time; results depend on the machine's speed only when this limit is what ends the search.
        seed: of the sample.
        held: dimensions that turn in some memories only, as indices into `machine.memories`.
        stationary: operand that stays inside the array while the memory around it walks over the others' tiles; "": any.
        products: of the workload; those of `dimensions` unless padding is among them.
        zeros: of sparse operands; a mapping is then counted by `sparsity.evaluate`.
        turns: that remain of each dimension, (unrollings, dimensions), of all unrollings that count as the space; those seen by default.

    Raises:
        UsageError: unknown objective or dimension, or no mapping seen fits: names the memories that were too small.
    """
    if objective not in OBJECTIVES:
        raise UsageError(f"objective is {objective!r}; allowed: {', '.join(OBJECTIVES)}")
    sides = _sides(dimensions, spatial, machine)
    start = monotonic()
    slots = [i for i, _ in enumerate(machine.memories) if not _follows(machine, i)]
    array = slots.index(spatial_at % len(machine.memories))
    held = {d: tuple(slots.index(at % len(machine.memories)) for at in places) for d, places in (held or {}).items()}
    remaining = np.array([[-(-extent // side.get(d, 1)) for d, extent in dimensions.items()] for side in sides])
    names = [d for d, most in zip(dimensions, remaining.max(axis=0), strict=True) if most > 1] or list(dimensions)[:1]
    orders = _orders(names, operands, len(slots), array, stationary)
    splits = [
        [_splits(int(n), len(slots), held.get(d)) for d, n in zip(dimensions, each, strict=True) if d in names]
        for each in remaining
    ]
    tilings = [prod(map(len, split)) for split in splits]
    space = _tilings(remaining if turns is None else turns, list(dimensions), len(slots), held) * len(orders)
    total = prod(dimensions.values()) if products is None else products
    count, held_by = evaluate, tile_words
    if zeros is not None:
        count, held_by = (partial(rule, sparsity=zeros) for rule in (sparsity.evaluate, sparsity.held_words))
    best, seen, valid, least = None, 0, 0, None
    for factors, unrolled in _batches(splits, sides, _shares(tilings, max(1, budget // len(orders))), seed):
        if seen and monotonic() - start > seconds:
            break
        nest = _nest(names, factors, orders[0], unrolled, array, slots, machine)
        words = [sum(tiles.values()) for tiles in held_by(nest, operands, machine)]
        fits = np.logical_and.reduce([w <= m.size_words for w, m in zip(words, machine.memories, strict=True)])
        fits = np.broadcast_to(fits, (len(factors[0]),))
        seen += len(fits) * len(orders)
        valid += int(fits.sum()) * len(orders)
        if not fits.any():
            smallest = [float(np.min(w)) for w in words]
            least = smallest if least is None else [min(pair) for pair in zip(least, smallest, strict=True)]
            continue
        kept, beside = [f[fits] for f in factors], {d: n[fits] for d, n in unrolled.items()}
        for order in orders:
            nest = _nest(names, kept, order, beside, array, slots, machine)
            cost = count(nest, operands, machine, products=total)
            energy = cost.total_pj
            second, first = {
                "cycles": (energy, cost.cycles),
                "energy": (cost.cycles, energy),
                "edp": (energy, energy * cost.cycles),
            }[objective]
            at = np.lexsort((second, first))[0]
            score = (first[at], second[at])
            if best is None or score < best[0]:
                best = (score, int(cost.cycles[at]), float(energy[at]), _single(nest, at))
    if best is None:
        raise UsageError(f"no valid mapping among the {seen} of {space} seen: {_too_small(machine, least)}")
    return Best(*best[1:], seen=seen, space=space, valid=valid, seconds=monotonic() - start)


def _sides(dimensions, spatial, machine: Machine) -> list[dict[str, int]]:
    """The unrollings to try. Raises UsageError."""
    given = [spatial] if isinstance(spatial, Mapping) else list(spatial)
    for side in given:
        unknown = sorted(set(side) - set(dimensions))
        if unknown:
            raise UsageError(f"spatial dimension {unknown[0]!r}; allowed: {', '.join(dimensions)}")
    if isinstance(spatial, Mapping):
        given = [{d: _widest(dimensions[d], extent) for d, extent in spatial.items()}]
    for side in given:
        if prod(side.values()) > machine.macs:
            raise UsageError(
                f"{prod(side.values())} multipliers side by side; allowed: {machine.macs}, those of the machine"
            )
    return [dict(side) for side in given]


def _follows(machine: Machine, at: int) -> bool:
    """Whether the memory after this one lies beside it."""
    return at + 1 < len(machine.memories) and machine.memories[at + 1].beside


def _too_small(machine: Machine, least: list[float] | None) -> str:
    """Names the memories that not even the smallest tiles seen fit; all bounded ones where each alone would do."""
    sized = [(m, n) for m, n in zip(machine.memories, least or [], strict=True) if m.size_words < np.inf]
    small = [
        f"{m.name} has {m.size_words:g} {machine.word}, the smallest tiles take {n:g}"
        for m, n in sized
        if n > m.size_words
    ]
    whole = ", ".join(f"{m.name} ({m.size_words:g} {machine.word})" for m, _ in sized)
    return "; ".join(small) or f"their tiles do not fit {whole}"


def _widest(extent: int, limit: int) -> int:
    return max(n for n in range(1, min(extent, limit) + 1) if extent % n == 0)


@lru_cache(maxsize=4096)
def _splits(extent: int, slots: int, held: tuple[int, ...] | None = None) -> np.ndarray:
    """Every way to write `extent` as an ordered product of `slots` factors, (ways, slots), of which only those at `held` may turn.

    The last way has all of it in the outermost slot that may.
    """
    if held is not None:
        ways = _splits(extent, len(held))
        spread = np.ones((len(ways), slots), dtype=ways.dtype)
        spread[:, sorted(held)] = ways
        return spread
    if slots == 1:
        return np.array([[extent]])
    parts = []
    for first in range(1, extent + 1):
        if extent % first == 0:
            rest = _splits(extent // first, slots - 1)
            parts.append(np.hstack([np.full((len(rest), 1), first), rest]))
    return np.vstack(parts)


def _tilings(turns: np.ndarray, dimensions: list[str], slots: int, held: Mapping[str, tuple[int, ...]]) -> int:
    """How many tilings there are over all unrollings."""
    total = np.ones(len(turns))
    for d, column in zip(dimensions, turns.T, strict=True):
        values, inverse = np.unique(column, return_inverse=True)
        total *= np.array([len(_splits(int(n), slots, held.get(d))) for n in values])[inverse]
    return int(total.sum())


def _orders(
    names: list[str], operands: tuple[Operand, ...], levels: int, array: int, stationary: str
) -> list[tuple[tuple[str, ...], ...]]:
    """Loop orders: at each level, one operand is stationary (the loops that do not index it run innermost).

    Inside a level only what turns between an operand's own loops matters to traffic, so that one order per operand stands for many.
    The innermost level keeps its first order: its loops touch the multipliers' operands at every step.
    """

    def order(operand: Operand) -> tuple[str, ...]:
        return tuple(sorted(names, key=lambda d: (not operand.indexed_by(d), names.index(d))))

    each = list(dict.fromkeys(order(operand) for operand in operands))
    levels_orders = [each] * (levels - 1) + [each[:1]]
    if stationary and array < levels - 1:
        levels_orders[array] = [order(operand) for operand in operands if operand.name == stationary]
    return list(product(*levels_orders))


def _shares(tilings: list[int], wanted: int) -> list[int]:
    """Tilings to see of each unrolling: `wanted` in all, shared alike; what a small space leaves goes to the larger ones."""
    shares = [0] * len(tilings)
    for left, at in enumerate(sorted(range(len(tilings)), key=lambda i: tilings[i])):
        shares[at] = min(tilings[at], max(1, wanted // (len(tilings) - left)))
        wanted = max(0, wanted - shares[at])
    return shares


def _batches(
    splits: list[list[np.ndarray]], sides: list[dict[str, int]], shares: list[int], seed: int
) -> Iterator[tuple[list[np.ndarray], dict[str, np.ndarray]]]:
    """Factors of each dimension, (tilings, slots), and of each unrolled one, (tilings,), for tilings of all unrollings."""
    unrolled = list(dict.fromkeys(d for side in sides for d in side))
    waiting: list[tuple[list[np.ndarray], list[np.ndarray]]] = []
    for split, side, share in zip(splits, sides, shares, strict=True):
        chosen = _sample(prod(map(len, split)), share, seed)
        for at in range(0, len(chosen), _BATCH):
            part = chosen[at : at + _BATCH]
            waiting.append((_factors(split, part), [np.full(len(part), side.get(d, 1)) for d in unrolled]))
            if sum(len(factors[0]) for factors, _ in waiting) >= _BATCH:
                yield _joined(waiting, unrolled)
                waiting = []
    if waiting:
        yield _joined(waiting, unrolled)


def _joined(parts, unrolled: list[str]) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    factors = [np.concatenate(each) for each in zip(*(part[0] for part in parts), strict=True)]
    sides = [np.concatenate(each) for each in zip(*(part[1] for part in parts), strict=True)]
    return factors, dict(zip(unrolled, sides, strict=True))


def _sample(space: int, wanted: int, seed: int) -> np.ndarray:
    """All tilings, or `wanted` different ones, by number; always the last, whose tiles are the smallest."""
    if space <= wanted:
        return np.arange(space)
    chosen = np.unique(np.random.default_rng(seed).integers(0, space - 1, size=2 * wanted))
    return np.sort(np.append(np.random.default_rng(seed + 1).permutation(chosen)[: wanted - 1], space - 1))


def _factors(splits: list[np.ndarray], chosen: np.ndarray) -> list[np.ndarray]:
    """Factors of each dimension at each level, (tilings, levels) per dimension: `chosen` in the mixed base of the splits."""
    factors = []
    for split in splits:
        chosen, digit = np.divmod(chosen, len(split))
        factors.append(split[digit])
    return factors


def _nest(names, factors, order, unrolled, array: int, slots: list[int], machine: Machine) -> list[list[Loop]]:
    nest: list[list[Loop]] = [[] for _ in machine.memories]
    for slot, (memory, loops) in enumerate(zip(slots, order, strict=True)):
        nest[memory] = [Loop(d, factors[names.index(d)][:, slot]) for d in loops]
        if slot == array:
            nest[memory] += [Loop(d, n, spatial=True) for d, n in unrolled.items()]
    return nest


def _single(nest: list[list[Loop]], at: int) -> list[list[Loop]]:
    """One mapping of a batch, without loops of one turn."""
    picked = [[Loop(x.dimension, x.bound[[at if len(x.bound) > 1 else 0]], x.spatial) for x in level] for level in nest]
    return [[x for x in level if x.bound[0] > 1] for level in picked]
