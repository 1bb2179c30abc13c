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
class Network:
    """What carries one operand between a memory and the instances of the next one inside.

    Attributes:
        words: per cycle and instance of the outer memory, each way; what many instances receive alike is sent once.
        overlapped: whether it works beside the multipliers; otherwise they wait while it loads, and then for the first tile of
            the operands that come by overlapped networks to the same place.
        element_pj: energy of bringing one element to, or from, one instance of the inner memory.
        shared: whether windows of neighbours that overlap are sent once; otherwise each instance's tile is sent by itself.
    """

    words: float = inf
    overlapped: bool = True
    element_pj: float = 0.0
    shared: bool = False


@dataclass(frozen=True)
class Memory:
    """One level of storage.

    A word is the unit of size and bandwidth; an element of an operand takes one unless `element_words` says otherwise.

    Attributes:
        keeps: the operands that have a home here; the others pass by.
        access_pj: energy of reading or writing one element, by operand.
        write_pj: energy of writing one, where it differs.
        size_words: of one instance, shared by its operands.
        read_words, write_words, shared_words: bandwidth of one instance, words per cycle: each way, and both together.
        leak_pj: of all instances, per cycle.
        element_words: words of one element, by operand; with words of one bit, its bits.
        final_words: words of a finished result in the outermost memory, where they are fewer than a partial sum's.
        networks: what feeds this memory, by operand.
        beside: whether it holds the same tiles as the memory before it: no loops lie between.
    """

    name: str
    keeps: tuple[str, ...]
    access_pj: Map[str, float] = field(default_factory=dict)
    size_words: float = inf
    read_words: float = inf
    write_words: float = inf
    shared_words: float = inf
    leak_pj: float = 0.0
    element_words: Map[str, float] = field(default_factory=dict)
    final_words: float | None = None
    write_pj: Map[str, float] = field(default_factory=dict)
    networks: Map[str, Network] = field(default_factory=dict)
    beside: bool = False

    def words(self, operand: str) -> float:
        """Words of one element."""
        return self.element_words.get(operand, 1)


@dataclass(frozen=True)
class Loop:
    """A loop of a nest: `bound` iterations of `dimension`, one after another or side by side."""

    dimension: str
    bound: np.ndarray
    spatial: bool = False


@dataclass(frozen=True)
class Machine:
    """Memories, outermost first, around `macs` multipliers of `mac_pj` a product.

    Attributes:
        lanes: products that one multiplier does side by side, all of one sum inside the innermost memory's loops.
        serial: cycles that it takes for them.
        word: what messages call the unit of size.
    """

    memories: tuple[Memory, ...]
    macs: int
    mac_pj: float = 0.0
    lanes: int = 1
    serial: int = 1
    word: str = "words"


@dataclass(frozen=True)
class Accesses:
    """Elements of one operand in one instance of a memory: read, filled from further out, updated from further in.

    `final`: of the updates, those that finish a result and leave it in the outermost memory.
    """

    reads: np.ndarray
    fills: np.ndarray
    updates: np.ndarray
    final: np.ndarray | int = 0

    @property
    def total(self) -> np.ndarray:
        return self.reads + self.fills + self.updates


@dataclass(frozen=True)
class Cost:
    """What mappings cost; arrays over the mappings.

    Attributes:
        cycles: the compute cycles, stretched to the slowest memory or network, and what computing waits for to be loaded.
        compute_cycles, load_cycles: the first and the last of these.
        needed: cycles that each memory and network is busy, by name; "NAME network" feeds the memory NAME.
        utilisation: MACs done per MAC that the array could have done in `cycles`.
        instances: in use, by memory.
        accesses: by (memory, operand), of one instance.
        words: moved in all instances of a memory, by (memory, operand): reads, and writes.
        energy_pj: by memory, "mac", and "network" where there are any; their sum is the energy.
        slowest: the memory or network that sets the cycles, "mac" where computing does; one per mapping.
        fits: whether every memory holds its tiles.
    """

    cycles: np.ndarray
    compute_cycles: np.ndarray
    load_cycles: np.ndarray
    needed: dict[str, np.ndarray]
    utilisation: np.ndarray
    instances: dict[str, np.ndarray]
    accesses: dict[tuple[str, str], Accesses]
    words: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]]
    energy_pj: dict[str, np.ndarray]
    slowest: np.ndarray
    fits: np.ndarray

    @property
    def total_pj(self) -> np.ndarray:
        return sum(self.energy_pj.values())


def evaluate(
    nest: list[list[Loop]], operands: tuple[Operand, ...], machine: Machine, products: int | None = None
) -> Cost:
    """Counts mappings of one loop order.

    Args:
        nest: for each memory of `machine` the loops that walk over its tiles, outermost first, spatial ones included.
        operands: of the workload; exactly one is written.
        machine: where it runs.
        products: of the workload, where the bounds are padded beyond it; padding computes nothing, but is moved.

    Raises:
        UsageError: an operand without a home, a memory without loops, a bandwidth or energy that is not there.
    """
    _check(nest, operands, machine)
    loops = [loop for level in nest for loop in level]
    starts = np.cumsum([0, *map(len, nest)]).tolist()  # loops outside memory i: those before starts[i]
    one = np.ones(np.broadcast_shapes(*(np.shape(loop.bound) for loop in loops)) or (1,), dtype=np.int64)
    steps = one * prod(loop.bound for loop in loops if not loop.spatial)
    macs = steps * prod(loop.bound for loop in loops if loop.spatial) if products is None else products * one
    compute = _compute(steps, nest[-1], operands, machine)
    instances = {
        m.name: one * prod(x.bound for x in loops[:at] if x.spatial)
        for m, at in zip(machine.memories, starts, strict=False)
    }
    moved = _Moved({}, {}, 0.0 * one, 0.0 * one)
    for operand in operands:
        _move(operand, loops, starts, machine, steps, instances, moved)
    load = moved.load
    for at, times in moved.restarts.items():
        load = load + times * moved.first.get(at, 0.0)
    load = np.ceil(load - 1e-9).astype(np.int64)

    energy = {"mac": machine.mac_pj * macs}
    words: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]] = {}
    for memory in machine.memories:
        reads, writes, spent = 0.0 * one, 0.0 * one, 0.0 * one
        for name in [name for home, name in moved.accesses if home == memory.name]:
            here, element = moved.accesses[memory.name, name], memory.words(name)
            read_pj = memory.access_pj.get(name, 0.0)
            saved = 0.0 if memory.final_words is None else here.final * (1 - memory.final_words / element)
            into = here.fills + here.updates - saved
            words[memory.name, name] = tuple(instances[memory.name] * count * element for count in (here.reads, into))
            reads, writes = reads + here.reads * element, writes + into * element
            spent = spent + here.reads * read_pj + into * memory.write_pj.get(name, read_pj)
        each_way = np.maximum(reads / memory.read_words, writes / memory.write_words)
        moved.needed[memory.name] = np.maximum(each_way, (reads + writes) / memory.shared_words)
        energy[memory.name] = instances[memory.name] * spent
    if any(memory.networks for memory in machine.memories):
        energy["network"] = moved.network_pj

    longest, slowest = slowest_of(compute, moved.needed)
    cycles = longest + load
    for memory in machine.memories:
        energy[memory.name] = energy[memory.name] + memory.leak_pj * cycles
    return Cost(
        cycles=cycles,
        compute_cycles=compute,
        load_cycles=load,
        needed=moved.needed,
        utilisation=macs * machine.serial / (cycles * machine.macs * machine.lanes),
        instances=instances,
        accesses=moved.accesses,
        words=words,
        energy_pj=energy,
        slowest=slowest,
        fits=np.logical_and.reduce(
            [
                sum(tiles.values(), 0.0 * one) <= memory.size_words
                for tiles, memory in zip(tile_words(nest, operands, machine), machine.memories, strict=True)
            ]
        ),
    )


def slowest_of(compute: np.ndarray, needed: Map[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Whole cycles of the slowest of the multipliers, the memories and the networks, and its name."""
    longest, slowest = compute.astype(float), np.full(compute.shape, "mac", dtype=object)
    for name, busy in needed.items():
        slowest = np.where(busy > longest, name, slowest)
        longest = np.maximum(longest, busy)
    return np.ceil(longest - 1e-9).astype(np.int64), slowest


@dataclass
class _Moved:
    """What the operands counted so far move.

    Attributes:
        accesses: by (memory, operand), of one instance.
        needed: cycles of the networks.
        load: cycles that computing waits for loads.
        restarts: how often it does, by the place (number of loops outside) that is loaded.
        first: cycles until the operands that come there by other networks can start.
    """

    accesses: dict[tuple[str, str], Accesses]
    needed: dict[str, np.ndarray]
    load: np.ndarray
    network_pj: np.ndarray
    restarts: dict[int, np.ndarray] = field(default_factory=dict)
    first: dict[int, np.ndarray] = field(default_factory=dict)


def _move(operand, loops, starts, machine: Machine, steps: np.ndarray, instances, moved: _Moved) -> None:
    """Adds one operand: from each memory that keeps it to the next one inside, and to the multipliers."""
    one = np.ones_like(steps)
    homes = [(m, at) for m, at in zip(machine.memories, starts, strict=False) if operand.name in m.keeps]
    own, distinct = 0 * one, _distinct(loops, homes[0][1], operand, one)
    for (memory, at), (child, inner_at) in zip(homes, [*homes[1:], (None, len(loops))], strict=True):
        network = child.networks.get(operand.name) if child else None
        elements = _moved(loops, inner_at, operand, one) if child else steps
        beside = [x for x in loops[at:inner_at] if x.spatial]
        tile = prod(_extents(loops[inner_at:], operand))
        apart = prod(x.bound for x in beside if operand.indexed_by(x.dimension))
        sent, asked = tile * apart, elements * apart  # one tile of each instance, and over the whole run
        if network and network.shared:
            sent = prod(_extents(beside + loops[inner_at:], operand))
            loads, rest = np.divmod(elements, tile)
            asked = loads * sent + -(-rest * sent // tile)
        here = _accesses(operand, asked, own, distinct, outermost=memory is homes[0][0])
        moved.accesses[memory.name, operand.name] = here
        own, distinct = elements, _distinct(loops, inner_at, operand, one) if child else 0 * one
        if not network:
            continue
        pace = child.words(operand.name) / network.words
        busy = np.maximum(here.reads, here.updates) * pace
        if not network.overlapped:
            moved.load = moved.load + busy
            moved.restarts[inner_at] = np.maximum(moved.restarts.get(inner_at, 0), elements // tile)
        else:
            name = f"{child.name} network"
            moved.needed[name] = np.maximum(moved.needed.get(name, 0.0), busy)  # each operand has its own
            if not operand.written:
                moved.first[inner_at] = np.maximum(moved.first.get(inner_at, 0.0), sent * pace)
        back = np.maximum(0, elements - distinct) if operand.written else 0
        moved.network_pj = moved.network_pj + network.element_pj * instances[child.name] * (elements + back)


def tile_words(nest: list[list[Loop]], operands: tuple[Operand, ...], machine: Machine) -> list[dict[str, np.ndarray]]:
    """Words that each operand's tile takes in one instance of each memory that keeps it; arrays over the mappings."""
    loops = [loop for level in nest for loop in level]
    starts = np.cumsum([0, *map(len, nest)]).tolist()
    none = np.zeros(np.broadcast_shapes(*(np.shape(loop.bound) for loop in loops)) or (1,))
    return [
        {
            o.name: prod(_extents(loops[at:], o)) * memory.words(o.name) + none
            for o in operands
            if o.name in memory.keeps
        }
        for memory, at in zip(machine.memories, starts, strict=False)
    ]


def _compute(steps: np.ndarray, innermost: list[Loop], operands: tuple[Operand, ...], machine: Machine) -> np.ndarray:
    """Cycles of the multipliers: sums inside the innermost memory are done `lanes` products at a time."""
    if machine.lanes == machine.serial == 1:
        return steps
    result = next(operand for operand in operands if operand.written)
    taps = prod(x.bound for x in innermost if not x.spatial and not result.indexed_by(x.dimension))
    return steps // taps * -(-taps // machine.lanes) * machine.serial


def _accesses(operand: Operand, asked: np.ndarray, own: np.ndarray, distinct: np.ndarray, outermost: bool) -> Accesses:
    """`asked`: elements to and from further in; `own`: elements that this memory exchanges with further out."""
    nothing = 0 * asked
    if not operand.written:
        return Accesses(asked, own, nothing)
    partial = np.maximum(0, own - distinct)  # sums that come back; the first visit of each starts from nothing
    return Accesses(asked - distinct, partial, asked, distinct if outermost else 0)


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
