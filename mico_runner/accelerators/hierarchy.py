"""Spatial accelerators with a hierarchy of memories: accesses by level, cycles and energy of given mappings.

The counting is Timeloop's (A. Parashar et al., ISPASS 2019) for dense work; docs/design/hierarchy.md has the rules. Many mappings of one
loop order are counted at once: every bound is an array over the mappings.
"""

from __future__ import annotations

from collections.abc import Mapping as Map
from dataclasses import dataclass
from math import prod

import numpy as np

from mico_runner.accelerators.machine import Loop, Machine, Nest, Operand
from mico_runner.accelerators.traffic import Accesses, Moved, add_operand, fit, tile_words
from mico_runner.errors import UsageError


@dataclass(frozen=True)
class Cost:
    """The cost of mappings; every value is an array over them.

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
        return np.asarray(sum(self.energy_pj.values()))


def evaluate(nest: Nest, operands: tuple[Operand, ...], machine: Machine, products: int | None = None) -> Cost:
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
    moved = Moved({}, {}, 0.0 * one, 0.0 * one)
    for operand in operands:
        add_operand(operand, loops, starts, machine, steps, instances, moved)
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
        fits=fit(tile_words(nest, operands, machine), machine),
    )


def slowest_of(compute: np.ndarray, needed: Map[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Whole cycles of the slowest of the multipliers, the memories and the networks, and its name."""
    longest, slowest = compute.astype(float), np.full(compute.shape, "mac", dtype=object)
    for name, busy in needed.items():
        slowest = np.where(busy > longest, name, slowest)
        longest = np.maximum(longest, busy)
    return np.ceil(longest - 1e-9).astype(np.int64), slowest


def _compute(steps: np.ndarray, innermost: list[Loop], operands: tuple[Operand, ...], machine: Machine) -> np.ndarray:
    """Cycles of the multipliers: sums inside the innermost memory are done `lanes` products at a time."""
    if machine.lanes == machine.serial == 1:
        return steps
    result = next(operand for operand in operands if operand.written)
    taps = prod(x.bound for x in innermost if not x.spatial and not result.indexed_by(x.dimension))
    return steps // taps * -(-taps // machine.lanes) * machine.serial


def _check(nest: Nest, operands: tuple[Operand, ...], machine: Machine) -> None:
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
