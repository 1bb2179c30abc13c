"""Sparse operands on a hierarchy of memories: what uniform density saves of a dense mapping's accesses, cycles and energy.

The rules are Sparseloop's (Y. N. Wu et al., MICRO 2022) for zeros that are spread evenly: an average is all that counts. What formats
cost beside the data (run lengths, pointers) is not modelled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from mico_runner.accelerators import hierarchy
from mico_runner.accelerators.hierarchy import Cost
from mico_runner.accelerators.machine import Machine, Nest, Operand
from mico_runner.accelerators.traffic import Accesses, fit, tile_words
from mico_runner.errors import UsageError
from mico_runner.hardware.zeros import Zeros

Place = tuple[str, str]  # memory, operand


@dataclass(frozen=True)
class Sparsity:
    """Where zeros are, and where the hardware makes use of them.

    Attributes:
        density: the share of elements that are not zero, by operand; 1 where nothing is said.
        compressed: tensors held without their zeros, which take no room and are neither read nor written.
        skipped: for each operand's innermost memory, the operands that skip its accesses: one happens only where none of them is zero.
        gated: the same, but an access that does not happen still takes its time.
        leaders: the operands that skip products: one is computed only where none of them is zero. By default every product is.
        idle: the same, but a product that is not computed still takes its time.
    """

    density: Mapping[str, float]
    compressed: tuple[Place, ...] = ()
    skipped: Mapping[Place, tuple[str, ...]] = field(default_factory=dict)
    gated: Mapping[Place, tuple[str, ...]] = field(default_factory=dict)
    leaders: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()

    def share(self, operands: tuple[str, ...]) -> float:
        """The share of combinations of these operands' elements that hold no zero."""
        return float(np.prod([self.density.get(name, 1.0) for name in dict.fromkeys(operands)]))


def of_array(zeros: Zeros, machine: Machine) -> Sparsity:
    """The sparsity that a device profile states, for the innermost memories of a machine with its operands."""
    inner = {name: memory.name for memory in machine.memories for name in memory.keeps}  # the last one stays
    skipped = {(memory, name): zeros.skips for name, memory in inner.items()}
    # What decides has to be read.
    gated = {(memory, name): tuple(g for g in zeros.gates if g != name) for name, memory in inner.items()}
    return Sparsity(dict(zeros.density), zeros.compressed, skipped, gated, zeros.skips, zeros.gates)


def evaluate(
    nest: Nest,
    operands: tuple[Operand, ...],
    machine: Machine,
    sparsity: Sparsity,
    products: int | None = None,
) -> Cost:
    """Counts as `hierarchy.evaluate` does, for sparse operands; counts are expected values, rounded to whole accesses.

    Raises:
        UsageError: a density outside 0 to 1, a memory that does not keep what it is said to compress or skip, or a machine with
            networks, whose traffic is not scaled.
    """
    _check(operands, machine, sparsity)
    dense = hierarchy.evaluate(nest, operands, machine, products)
    innermost = {o.name: [m.name for m in machine.memories if o.name in m.keeps][-1] for o in operands}
    accesses: dict[Place, Accesses] = {}
    needed: dict[str, np.ndarray] = {}
    energy = {"mac": dense.energy_pj["mac"] * sparsity.share((*sparsity.leaders, *sparsity.idle))}
    words: dict[Place, tuple[np.ndarray, np.ndarray]] = {}
    for memory in machine.memories:
        reads = writes = spent = 0.0 * dense.cycles
        for operand in [o for o in operands if o.name in memory.keeps]:
            place, counted = (memory.name, operand.name), dense.accesses[memory.name, operand.name]
            own = sparsity.share((operand.name,)) if place in sparsity.compressed else 1.0
            own_names = (operand.name,) if place in sparsity.compressed else ()
            happens = takes_time = own
            if innermost[operand.name] == memory.name:
                happens = sparsity.share((*own_names, *sparsity.skipped.get(place, ()), *sparsity.gated.get(place, ())))
                takes_time = sparsity.share((*own_names, *sparsity.skipped.get(place, ())))
            actual = Accesses(
                _whole(counted.reads, happens),
                _whole(counted.fills, own),
                _whole(counted.updates, happens),
                counted.final,
            )
            accesses[place] = actual
            element, read_pj = memory.words(operand.name), memory.access_pj.get(operand.name, 0.0)
            saved = 0.0 if memory.final_words is None else counted.final * (1 - memory.final_words / element)
            reads = reads + counted.reads * takes_time * element
            writes = writes + (counted.fills * own + (counted.updates - saved) * takes_time) * element
            stored = np.maximum(0.0, actual.fills + actual.updates - saved * happens)
            spent = spent + actual.reads * read_pj + stored * memory.write_pj.get(operand.name, read_pj)
            instances = dense.instances[memory.name]
            words[place] = (instances * actual.reads * element, instances * stored * element)
        each_way = np.maximum(reads / memory.read_words, writes / memory.write_words)
        needed[memory.name] = np.maximum(each_way, (reads + writes) / memory.shared_words)
        energy[memory.name] = dense.instances[memory.name] * spent
    compute = np.ceil(dense.compute_cycles * sparsity.share(sparsity.leaders) - 1e-9).astype(np.int64)
    cycles, slowest = hierarchy.slowest_of(compute, needed)
    for memory in machine.memories:
        energy[memory.name] = energy[memory.name] + memory.leak_pj * cycles
    return replace(
        dense,
        cycles=cycles,
        compute_cycles=compute,
        needed=needed,
        utilisation=dense.utilisation * dense.cycles * sparsity.share(sparsity.leaders) / cycles,
        accesses=accesses,
        words=words,
        energy_pj=energy,
        slowest=slowest,
        fits=fit(held_words(nest, operands, machine, sparsity), machine),
    )


def held_words(
    nest: Nest, operands: tuple[Operand, ...], machine: Machine, sparsity: Sparsity
) -> list[dict[str, np.ndarray]]:
    """The words of `traffic.tile_words`; a tensor held without zeros takes room only for its other elements."""
    return [
        {
            name: np.ceil(
                tile * (sparsity.share((name,)) if (memory.name, name) in sparsity.compressed else 1.0) - 1e-9
            )
            for name, tile in tiles.items()
        }
        for memory, tiles in zip(machine.memories, tile_words(nest, operands, machine), strict=True)
    ]


def _whole(count: np.ndarray, share: float) -> np.ndarray:
    return np.rint(count * share).astype(np.int64)


def _check(operands: tuple[Operand, ...], machine: Machine, sparsity: Sparsity) -> None:
    for name, density in sparsity.density.items():
        if not 0 < density <= 1:
            raise UsageError(f"density of {name}: found {density}; allowed: above 0, at most 1")
    homes = {(memory.name, name) for memory in machine.memories for name in memory.keeps}
    for place in (*sparsity.compressed, *sparsity.skipped, *sparsity.gated):
        if place not in homes:
            raise UsageError(f"sparsity names {place[1]} in {place[0]}, which does not keep it")
    names = {operand.name for operand in operands}
    for name in (*sparsity.density, *sparsity.leaders, *(n for v in sparsity.skipped.values() for n in v)):
        if name not in names:
            raise UsageError(f"sparsity names operand {name!r}; allowed: {', '.join(sorted(names))}")
    if any(memory.networks for memory in machine.memories):
        raise UsageError("sparsity is counted in memories only; allowed: a machine without networks")
