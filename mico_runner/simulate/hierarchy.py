"""Spatial accelerators with a hierarchy of memories: accesses by level, cycles and energy of given mappings.

The counting is Timeloop's (A. Parashar et al., ISPASS 2019) for dense work; docs/hierarchy.md has the rules. Many mappings of one
loop order are counted at once: every bound is an array over the mappings.
"""

from __future__ import annotations

from collections.abc import Mapping as Map
from dataclasses import dataclass, field
from math import inf, prod

import numpy as np

from mico_runner.errors import UsageError


@dataclass(frozen=True)
class Operand:
    """How a tensor is indexed.

    Attributes:
        axes: one sum per axis of the tensor, as {dimension: step}: a convolution's input row is {"P": stride, "R": dilation}.
        written: whether it is the result, which is reduced over the dimensions that do not index it.
    """

    name: str
    axes: tuple[Map[str, int], ...]
    written: bool = False

    def indexed_by(self, dimension: str) -> bool:
        return any(dimension in axis for axis in self.axes)


@dataclass(frozen=True)
class Memory:
    """One level of storage.

    Attributes:
        keeps: the operands that have a home here; the others pass by.
        access_pj: energy of reading or writing one word, by operand.
        size_words: of one instance, shared by its operands.
        read_words, write_words, shared_words: bandwidth of one instance, words per cycle: each way, and both together.
        leak_pj: of all instances, per cycle.
    """

    name: str
    keeps: tuple[str, ...]
    access_pj: Map[str, float] = field(default_factory=dict)
    size_words: float = inf
    read_words: float = inf
    write_words: float = inf
    shared_words: float = inf
    leak_pj: float = 0.0


@dataclass(frozen=True)
class Loop:
    """A loop of a nest: `bound` iterations of `dimension`, one after another or side by side."""

    dimension: str
    bound: np.ndarray
    spatial: bool = False


@dataclass(frozen=True)
class Machine:
    """Memories, outermost first, around `macs` multipliers of `mac_pj` each."""

    memories: tuple[Memory, ...]
    macs: int
    mac_pj: float = 0.0


@dataclass(frozen=True)
class Accesses:
    """Words of one operand in one instance of a memory: read, filled from further out, updated from further in."""

    reads: np.ndarray
    fills: np.ndarray
    updates: np.ndarray

    @property
    def total(self) -> np.ndarray:
        return self.reads + self.fills + self.updates


@dataclass(frozen=True)
class Cost:
    """What mappings cost; arrays over the mappings.

    Attributes:
        cycles: the compute cycles, stretched to the slowest memory's bandwidth.
        utilisation: MACs done per MAC that the array could have done in `cycles`.
        instances: in use, by memory.
        accesses: by (memory, operand), of one instance.
        energy_pj: by memory, and "mac"; their sum is the energy.
        slowest: the memory that sets the cycles, "mac" where computing does; one per mapping.
        fits: whether every memory holds its tiles.
    """

    cycles: np.ndarray
    compute_cycles: np.ndarray
    utilisation: np.ndarray
    instances: dict[str, np.ndarray]
    accesses: dict[tuple[str, str], Accesses]
    energy_pj: dict[str, np.ndarray]
    slowest: np.ndarray
    fits: np.ndarray

    @property
    def total_pj(self) -> np.ndarray:
        return sum(self.energy_pj.values())


def evaluate(nest: list[list[Loop]], operands: tuple[Operand, ...], machine: Machine) -> Cost:
    """Counts mappings of one loop order.

    Args:
        nest: for each memory of `machine` the loops that walk over its tiles, outermost first, spatial ones included.
        operands: of the workload; exactly one is written.
        machine: where it runs.

    Raises:
        UsageError: an operand without a home, a memory without loops, a bandwidth or energy that is not there.
    """
    _check(nest, operands, machine)
    loops = [loop for level in nest for loop in level]
    starts = np.cumsum([0, *map(len, nest)]).tolist()  # loops outside memory i: those before starts[i]
    one = np.ones(np.broadcast_shapes(*(np.shape(loop.bound) for loop in loops)) or (1,), dtype=np.int64)
    compute = one * prod(loop.bound for loop in loops if not loop.spatial)
    macs = compute * prod(loop.bound for loop in loops if loop.spatial)
    instances = {
        m.name: one * prod(x.bound for x in loops[:at] if x.spatial)
        for m, at in zip(machine.memories, starts, strict=False)
    }

    accesses: dict[tuple[str, str], Accesses] = {}
    for operand in operands:
        homes = [(m.name, at) for m, at in zip(machine.memories, starts, strict=False) if operand.name in m.keeps]
        for number, (name, at) in enumerate(homes):
            inner_at = homes[number + 1][1] if number + 1 < len(homes) else len(loops)
            last = number + 1 == len(homes)
            child = (
                one * prod(x.bound for x in loops if not x.spatial) if last else _moved(loops, inner_at, operand, one)
            )
            asked = child * prod(x.bound for x in loops[at:inner_at] if x.spatial and operand.indexed_by(x.dimension))
            own = _moved(loops, at, operand, one) if number else 0 * one
            accesses[name, operand.name] = _accesses(operand, asked, own, _distinct(loops, at, operand, one))

    stretch, slowest = np.ones(one.shape), np.full(one.shape, "mac", dtype=object)
    energy = {"mac": machine.mac_pj * macs}
    fits = np.ones(one.shape, dtype=bool)
    tensor = {operand.name: operand for operand in operands}
    for memory, at in zip(machine.memories, starts, strict=False):
        here = {name: accesses[memory.name, name] for name in memory.keeps if name in tensor}
        reads = sum((a.reads for a in here.values()), 0 * one)
        writes = sum((a.fills + a.updates for a in here.values()), 0 * one)
        each_way = np.maximum(reads / memory.read_words, writes / memory.write_words)
        needed = np.maximum(each_way, (reads + writes) / memory.shared_words) / compute
        slowest = np.where(needed > stretch, memory.name, slowest)
        stretch = np.maximum(stretch, needed)
        energy[memory.name] = instances[memory.name] * sum(
            (a.total * memory.access_pj.get(name, 0.0) for name, a in here.items()), 0.0 * one
        )
        held = sum((prod(_extents(loops[at:], tensor[name])) for name in here), 0 * one)
        fits &= held <= memory.size_words
    cycles = np.ceil(compute * stretch - 1e-9).astype(np.int64)
    for memory in machine.memories:
        energy[memory.name] = energy[memory.name] + memory.leak_pj * cycles
    return Cost(cycles, compute, macs / (cycles * machine.macs), instances, accesses, energy, slowest, fits)


def _accesses(operand: Operand, asked: np.ndarray, own: np.ndarray, distinct: np.ndarray) -> Accesses:
    """`asked`: words to and from further in; `own`: words that this memory exchanges with further out."""
    nothing = 0 * asked
    if not operand.written:
        return Accesses(asked, own, nothing)
    partial = np.maximum(0, own - distinct)  # sums that come back; the first visit of each starts from nothing
    return Accesses(asked - distinct, partial, asked)


def _extents(loops: list[Loop], operand: Operand) -> list[np.ndarray]:
    """Tile size along each axis that these loops walk over."""
    size: dict[str, np.ndarray] = {}
    for loop in loops:
        size[loop.dimension] = size.get(loop.dimension, 1) * loop.bound
    return [1 + sum(step * (size.get(d, 1) - 1) for d, step in axis.items()) for axis in operand.axes]


def _moved(loops: list[Loop], at: int, operand: Operand, one: np.ndarray) -> np.ndarray:
    """Words that enter one instance of a memory before loop `at`, over the whole run.

    The loops around it, innermost first: one that does not index the operand costs nothing until the first that does; the
    innermost of all loads only what is new (windows overlap); every other one loads the whole tile again.
    """
    extents = _extents(loops[at:], operand)
    tile = one * prod(extents)
    words, indexed, passed = tile, np.zeros(one.shape, bool), np.zeros(one.shape, bool)
    for index in range(at - 1, -1, -1):
        loop = loops[index]
        if loop.spatial:
            continue
        turns = loop.bound > 1
        if operand.indexed_by(loop.dimension):
            shift = prod(x.bound for x in loops[index + 1 :] if x.dimension == loop.dimension)
            kept = prod(
                np.maximum(0, extent - axis[loop.dimension] * shift) if loop.dimension in axis else extent
                for axis, extent in zip(operand.axes, extents, strict=True)
            )
            innermost = turns & ~indexed & ~passed
            words = np.where(innermost, tile + (loop.bound - 1) * (tile - kept), words * loop.bound)
            indexed = indexed | turns
        else:
            words = words * np.where(indexed, loop.bound, 1)
            passed = passed | turns
    return words


def _distinct(loops: list[Loop], at: int, operand: Operand, one: np.ndarray) -> np.ndarray:
    """Different words of the operand that one instance of a memory before loop `at` sees."""
    whole = one * prod(_extents(loops, operand))
    return whole // prod(x.bound for x in loops[:at] if x.spatial and operand.indexed_by(x.dimension))


def _check(nest: list[list[Loop]], operands: tuple[Operand, ...], machine: Machine) -> None:
    if len(nest) != len(machine.memories):
        raise UsageError(f"the mapping has {len(nest)} levels; allowed: {len(machine.memories)}, one per memory")
    if sum(operand.written for operand in operands) != 1:
        raise UsageError("exactly one operand of a workload is written")
    for operand in operands:
        if not any(operand.name in memory.keeps for memory in machine.memories):
            raise UsageError(f"operand {operand.name!r} has no home: no memory keeps it")
    for memory in machine.memories:
        for name in ("size_words", "read_words", "write_words", "shared_words"):
            if not getattr(memory, name) > 0:
                raise UsageError(f"memory {memory.name!r}: {name} is {getattr(memory, name)}; allowed: above 0")
