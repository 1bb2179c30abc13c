"""The traffic of given mappings: elements of each operand between the memories that keep it, and over the networks between them.

Timeloop's rules of reuse (A. Parashar et al., ISPASS 2019) for dense work; docs/design/hierarchy.md has them. Arrays are over mappings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from math import prod
from typing import Any

import numpy as np

from mico_runner.accelerators.machine import Loop, Machine, Nest, Operand


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
        moved: np.ndarray = self.reads + self.fills + self.updates
        return moved


@dataclass
class Moved:
    """The traffic of the operands counted so far.

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


def add_operand(
    operand: Operand,
    loops: list[Loop],
    starts: list[int],
    machine: Machine,
    steps: np.ndarray,
    instances: Mapping[str, np.ndarray],
    moved: Moved,
) -> None:
    """Adds one operand: from each memory that keeps it to the next one inside, and to the multipliers."""
    one = np.ones_like(steps)
    homes = [(m, at) for m, at in zip(machine.memories, starts, strict=False) if operand.name in m.keeps]
    own, distinct = 0 * one, _distinct(loops, homes[0][1], operand, one)
    for (memory, at), (child, inner_at) in zip(homes, [*homes[1:], (None, len(loops))], strict=True):
        network = child.networks.get(operand.name) if child else None
        elements = _elements(loops, inner_at, operand, one) if child else steps
        beside = [x for x in loops[at:inner_at] if x.spatial]
        tile = prod(_extents(loops[inner_at:], operand))
        apart = prod(x.bound for x in beside if operand.indexed_by(x.dimension))
        sent, asked = tile * apart, elements * apart  # one tile of each instance, and over the whole run
        if network and network.shared:
            sent = prod(_extents(beside + loops[inner_at:], operand))
            loads, rest = np.divmod(elements, tile)
            asked = loads * sent + -(-rest * sent // tile)
        here = _accesses(operand, asked, own, distinct, memory is homes[0][0], machine.drains)
        moved.accesses[memory.name, operand.name] = here
        own, distinct = elements, _distinct(loops, inner_at, operand, one) if child else 0 * one
        if child is None or network is None:
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


def tile_words(nest: Nest, operands: tuple[Operand, ...], machine: Machine) -> list[dict[str, np.ndarray]]:
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


def fit(tiles: Sequence[Mapping[str, np.ndarray]], machine: Machine) -> np.ndarray:
    """Says for each mapping whether every memory holds its tiles, whose words are those of `tile_words`."""
    held: list[np.ndarray] = [
        np.asarray(sum(words.values()) <= memory.size_words)
        for words, memory in zip(tiles, machine.memories, strict=True)
    ]
    return reduce(np.logical_and, held)


def _accesses(
    operand: Operand, asked: np.ndarray, own: np.ndarray, distinct: np.ndarray, outermost: bool, drains: bool
) -> Accesses:
    """`asked`: elements to and from further in; `own`: elements that this memory exchanges with further out."""
    nothing = 0 * asked
    if not operand.written:
        return Accesses(asked, own, nothing)
    # Sums that come back; the first visit of each starts from nothing, which costs an access only where results drain by one.
    partial = own if drains else np.maximum(0, own - distinct)
    return Accesses(asked - distinct, partial, asked, distinct if outermost else 0)


def _extents(loops: list[Loop], operand: Operand) -> list[np.ndarray]:
    """Tile size along each axis that these loops walk over."""
    size: dict[str, Any] = {}  # a whole number where there is no loop, else an array over the mappings
    for loop in loops:
        size[loop.dimension] = size.get(loop.dimension, 1) * loop.bound
    return [1 + sum(step * (size.get(d, 1) - 1) for d, step in axis.items()) for axis in operand.axes]


def _elements(loops: list[Loop], at: int, operand: Operand, one: np.ndarray) -> np.ndarray:
    """Words that enter one instance of a memory before loop `at`, over the whole run.

    The loops around it, innermost first: one that does not index the operand costs nothing until the first that does; every
    other one loads the whole tile again, but where windows overlap (`_windows`).
    """
    words = one * prod(_extents(loops[at:], operand))
    if any(len(axis) > 1 for axis in operand.axes):
        return _windows(loops, at, operand, words)
    indexed = np.zeros(one.shape, bool)
    for loop in reversed([loop for loop in loops[:at] if not loop.spatial]):
        if operand.indexed_by(loop.dimension):
            words = words * loop.bound
            indexed = indexed | (loop.bound > 1)
        else:
            words = words * np.where(indexed, loop.bound, 1)
    return words


def _windows(loops: list[Loop], at: int, operand: Operand, tile: np.ndarray) -> np.ndarray:
    """The same where an axis has several dimensions, so that the tiles of neighbouring turns may overlap.

    A turn that moves the tile just as the step before it did, the innermost loop's, loads what is new. Every other one loads the
    whole tile. The loops inside the one that turns fall back to their start, as if each had come to its second iteration:
    Timeloop's analysis of a nest sees the first two iterations of a loop and takes the others to be like the second.
    """
    extents = _extents(loops[at:], operand)
    words, still = tile, 0 * tile
    last, back = (
        [still] * len(extents),
        [still] * len(extents),
    )  # the step before a turn, and what the turn undoes, by axis
    turned, indexed = np.zeros(tile.shape, bool), np.zeros(tile.shape, bool)
    for index in range(at - 1, -1, -1):
        loop = loops[index]
        if loop.spatial:
            continue
        turns = loop.bound > 1
        if operand.indexed_by(loop.dimension):
            inside = prod(x.bound for x in loops[index + 1 :] if x.dimension == loop.dimension)
            shifts = [axis.get(loop.dimension, 0) * inside * turns for axis in operand.axes]
            moves = [shift - undone for shift, undone in zip(shifts, back, strict=True)]
            alike = ~turned | np.logical_and.reduce([move == step for move, step in zip(moves, last, strict=True)])
            kept = prod(np.maximum(0, extent - move) for extent, move in zip(extents, moves, strict=True))
            words = words * loop.bound - np.where(turns & alike, (loop.bound - 1) * kept, 0)
            last = [np.where(turned, step, shift) for step, shift in zip(last, shifts, strict=True)]
            back = [undone + shift for undone, shift in zip(back, shifts, strict=True)]
            indexed = indexed | turns
        else:
            words = words * np.where(indexed, loop.bound, 1)
        turned = turned | turns
    return words


def _distinct(loops: list[Loop], at: int, operand: Operand, one: np.ndarray) -> np.ndarray:
    """Different words of the operand that one instance of a memory before loop `at` sees."""
    whole = one * prod(_extents(loops, operand))
    return whole // prod(x.bound for x in loops[:at] if x.spatial and operand.indexed_by(x.dimension))
