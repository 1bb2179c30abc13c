"""Searches the mappings of a convolution or a matrix product on a hierarchy: tilings x spatial unrollings x loop orders.

A mapping splits every dimension over the slots of the machine (the temporal loops of each memory, and one spatial slot) so that the
factors multiply to the dimension. A space that fits the budget is seen whole. Of a larger one, a seeded sample of tilings is seen,
without repetition. The result says which of the two it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from time import monotonic
from typing import Any

import numpy as np

from mico_runner.accelerators import hierarchy, sparsity, tilings
from mico_runner.accelerators.hierarchy import Cost
from mico_runner.accelerators.machine import Loop, Machine, Nest, Operand
from mico_runner.accelerators.sparsity import Sparsity
from mico_runner.accelerators.tilings import LoopOrder
from mico_runner.accelerators.traffic import fit, tile_words
from mico_runner.errors import UsageError

OBJECTIVES = ("cycles", "energy", "edp")


@dataclass(frozen=True)
class Workload:
    """A layer to map.

    Attributes:
        dimensions: the extent of each dimension.
        operands: its tensors.
        products: the products to compute; those of `dimensions` unless these contain padding.
        sparsity: of its operands, where they have zeros.
    """

    dimensions: Mapping[str, int]
    operands: tuple[Operand, ...]
    products: int | None = None
    sparsity: Sparsity | None = None

    def cost(self, nest: Nest, machine: Machine) -> Cost:
        """The cost of mappings, see `hierarchy.evaluate`."""
        products = prod(self.dimensions.values()) if self.products is None else self.products
        if self.sparsity is None:
            return hierarchy.evaluate(nest, self.operands, machine, products)
        return sparsity.evaluate(nest, self.operands, machine, self.sparsity, products)

    def tile_words(self, nest: Nest, machine: Machine) -> list[dict[str, np.ndarray]]:
        """The words that tiles take, see `traffic.tile_words`."""
        if self.sparsity is None:
            return tile_words(nest, self.operands, machine)
        return sparsity.held_words(nest, self.operands, machine, self.sparsity)


@dataclass(frozen=True)
class Space:
    """The mappings among which the search chooses.

    Attributes:
        spatial: the dimensions that may run side by side and the widest extent of each, e.g. {"K": 32, "C": 32}; each is unrolled by
            its largest divisor within that extent. Or the unrollings to try, as `dataflow.unrollings` finds them; a dimension that
            one of their factors does not divide is padded.
        array_at: the memory under which the array lies, as an index into `machine.memories`.
        restricted: dimensions that have temporal loops in some memories only, and these as indices into `machine.memories`.
        stationary: the operand that stays inside the array while the memory around it walks over the others' tiles; "": any.
        temporal: what remains of each dimension beside the unrolling, (unrollings, dimensions). It holds every unrolling that counts
            as part of the space; by default these are the unrollings that are tried.
    """

    spatial: Mapping[str, int] | Sequence[Mapping[str, int]]
    array_at: int = -2
    restricted: Mapping[str, Sequence[int]] = field(default_factory=dict)
    stationary: str = ""
    temporal: np.ndarray | None = None


@dataclass(frozen=True)
class Budget:
    """Limits on how much of the space the search sees.

    Attributes:
        mappings: the most to evaluate. Which ones these are depends on this number and on the seed, never on the memories' sizes or
            speeds.
        seconds: no batch starts after this time. Results depend on the speed of the computer only where this limit ends the search.
        seed: of the sample.
    """

    mappings: int = 20_000
    seconds: float = 60.0
    seed: int = 0


@dataclass(frozen=True)
class Best:
    """The best mapping found.

    Attributes:
        cycles, energy_pj: its cost.
        nest: as `hierarchy.evaluate` takes it.
        seen, space: how many mappings were evaluated, and how many there are; where they are equal, this is the optimum of the space.
        valid: how many of those seen fit the memories.
        seconds: the time that the search took.
    """

    cycles: int
    energy_pj: float
    nest: Nest
    seen: int
    space: int
    valid: int
    seconds: float


def score(objective: str, cycles: Any, energy_pj: Any) -> tuple[Any, Any]:
    """The figures that are made least, first one and then the other among equals; of numbers or of arrays."""
    scores = {"cycles": (cycles, energy_pj), "energy": (energy_pj, cycles), "edp": (energy_pj * cycles, energy_pj)}
    return scores[objective]


def search(
    workload: Workload, machine: Machine, space: Space, objective: str = "edp", budget: Budget | None = None
) -> Best:
    """The best mapping seen within a budget.

    Args:
        objective: "cycles" (least energy among equals), "energy" (least cycles among equals) or "edp", cycles times energy.

    Raises:
        UsageError: the objective or a dimension is unknown, or no mapping seen fits; the message names the memories that are too small.
    """
    if objective not in OBJECTIVES:
        raise UsageError(f"objective is {objective!r}; allowed: {', '.join(OBJECTIVES)}")
    budget = budget or Budget()
    dimensions, operands = workload.dimensions, workload.operands
    unrollings = _unrollings(dimensions, space.spatial, machine)
    start = monotonic()
    slots = [i for i, _ in enumerate(machine.memories) if not _shares_loops(machine, i)]

    def slot_of(memory: int) -> int:
        return slots.index(memory % len(machine.memories))

    array = slot_of(space.array_at)
    restricted = {dimension: tuple(map(slot_of, places)) for dimension, places in space.restricted.items()}
    remaining = np.array([[-(-extent // way.get(d, 1)) for d, extent in dimensions.items()] for way in unrollings])
    names = [d for d, most in zip(dimensions, remaining.max(axis=0), strict=True) if most > 1] or list(dimensions)[:1]
    orders = tilings.loop_orders(names, operands, len(slots), array, space.stationary)
    splits = [
        [
            tilings.splits(int(n), len(slots), restricted.get(d))
            for d, n in zip(dimensions, each, strict=True)
            if d in names
        ]
        for each in remaining
    ]
    temporal = remaining if space.temporal is None else space.temporal
    total = tilings.count(temporal, list(dimensions), len(slots), restricted) * len(orders)
    best: tuple[tuple[float, float], int, float, Nest] | None = None
    seen, valid, least = 0, 0, None
    tried = max(1, budget.mappings // len(orders))
    for factors, unrolled in tilings.batches(splits, unrollings, tried, budget.seed):
        if seen and monotonic() - start > budget.seconds:
            break
        nest = _nest(names, factors, orders[0], unrolled, array, slots, machine)
        tiles = workload.tile_words(nest, machine)
        fits = np.broadcast_to(fit(tiles, machine), (len(factors[0]),))
        seen += len(fits) * len(orders)
        valid += int(fits.sum()) * len(orders)
        if not fits.any():
            smallest = [float(np.min(sum(words.values()))) for words in tiles]
            least = smallest if least is None else [min(pair) for pair in zip(least, smallest, strict=True)]
            continue
        kept, beside = [f[fits] for f in factors], {d: n[fits] for d, n in unrolled.items()}
        for order in orders:
            nest = _nest(names, kept, order, beside, array, slots, machine)
            cost = workload.cost(nest, machine)
            energy = cost.total_pj
            first, second = score(objective, cost.cycles, energy)
            at = np.lexsort((second, first))[0]
            reached = (first[at], second[at])
            if best is None or reached < best[0]:
                best = (reached, int(cost.cycles[at]), float(energy[at]), _single(nest, at))
    if best is None:
        raise UsageError(f"no valid mapping among the {seen} of {total} seen: {_too_small(machine, least)}")
    return Best(*best[1:], seen=seen, space=total, valid=valid, seconds=monotonic() - start)


def _unrollings(
    dimensions: Mapping[str, int], spatial: Mapping[str, int] | Sequence[Mapping[str, int]], machine: Machine
) -> list[dict[str, int]]:
    """The unrollings to try. Raises UsageError."""
    given = [spatial] if isinstance(spatial, Mapping) else list(spatial)
    for way in given:
        unknown = sorted(set(way) - set(dimensions))
        if unknown:
            raise UsageError(f"spatial dimension {unknown[0]!r}; allowed: {', '.join(dimensions)}")
    if isinstance(spatial, Mapping):
        given = [{d: _largest_divisor(dimensions[d], extent) for d, extent in spatial.items()}]
    for way in given:
        if prod(way.values()) > machine.macs:
            raise UsageError(
                f"{prod(way.values())} multipliers side by side; allowed: {machine.macs}, those of the machine"
            )
    return [dict(way) for way in given]


def _largest_divisor(extent: int, limit: int) -> int:
    return max(n for n in range(1, min(extent, limit) + 1) if extent % n == 0)


def _shares_loops(machine: Machine, at: int) -> bool:
    """Says whether the next memory lies beside this one, so that both have the same loops."""
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


def _nest(
    names: list[str],
    factors: list[np.ndarray],
    order: LoopOrder,
    unrolled: Mapping[str, np.ndarray],
    array: int,
    slots: Iterable[int],
    machine: Machine,
) -> Nest:
    """The loops of many mappings of one loop order; the unrolled ones follow those of the slot around the array."""
    nest: Nest = [[] for _ in machine.memories]
    for slot, (memory, loops) in enumerate(zip(slots, order, strict=True)):
        nest[memory] = [Loop(d, factors[names.index(d)][:, slot]) for d in loops]
        if slot == array:
            nest[memory] += [Loop(d, n, spatial=True) for d, n in unrolled.items()]
    return nest


def _single(nest: Nest, at: int) -> Nest:
    """One mapping of a batch, without loops of one turn."""
    picked = [[Loop(x.dimension, x.bound[[at if len(x.bound) > 1 else 0]], x.spatial) for x in level] for level in nest]
    return [[x for x in level if x.bound[0] > 1] for level in picked]
