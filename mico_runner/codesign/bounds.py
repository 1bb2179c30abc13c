"""What no mapping of a layer on an array of elements can beat, for many arrays at once.

Cycles: all turns that the best layout on the array takes, or everything through the outermost memory once; and loads that computing
waits for, once. Energy: every product with its accesses inside the elements, every tensor once through each memory that keeps it.
Neither depends on how large the memories are, so that designs that differ in sizes alone share a bound.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil

import numpy as np

from mico_runner.accelerators import spatial
from mico_runner.accelerators.dataflow import DATAFLOWS, DIMENSIONS, Dataflow
from mico_runner.accelerators.spatial import Layer
from mico_runner.hardware import Architecture
from mico_runner.hardware.architecture_schema import OPERANDS

_REDUCED = ("C", "R", "S")  # dimensions that a result is summed over


def least_cycles(layer: Layer, array: Architecture, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Cycles that every mapping takes at least, on arrays of these many rows and columns; infinite where none is valid.

    Args:
        array: all else of the arrays.
        rows, columns: int64 (arrays,).
    """
    machine, sizes = spatial.machine(array, layer), elements(layer)
    most = (int(rows.max()), int(columns.max()))
    turns = _least_turns(tuple(layer[: len(DIMENSIONS)]), array.dataflow, *most, machine.lanes)[rows, columns]
    outer = machine.memories[0]
    read = sum(sizes[name] * outer.words(name) for name in ("weights", "inputs"))
    written = sizes["outputs"] * (outer.final_words or outer.words("outputs"))
    moving = max(read / outer.read_words, written / outer.write_words, (read + written) / outer.shared_words)
    load = 0.0
    for memory in machine.memories:
        for name, network in memory.networks.items():
            load += 0.0 if network.overlapped else sizes[name] * memory.words(name) / network.words
    cycles: np.ndarray = np.maximum(turns * machine.serial, ceil(moving - 1e-9)) + ceil(load - 1e-9)
    return cycles


def least_energy(layer: Layer, array: Architecture, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Energy (pJ) that every mapping takes at least, that of networks aside; arguments as of `least_cycles`."""
    machine, sizes, flow = spatial.machine(array, layer), elements(layer), DATAFLOWS[array.dataflow]
    products = float(np.prod(np.array(layer[: len(DIMENSIONS)], dtype=float)))
    # Elements whose sums are added on the way out of the array start each from nothing, without a read.
    reducing = set(_REDUCED)
    apart = (rows if reducing & {*flow.rows} else 1) * (columns if reducing & {*flow.columns} else 1)
    spent = np.full(len(rows), products * machine.mac_pj)
    for name in OPERANDS:
        homes = [pair for pair in zip(machine.memories, array.stores, strict=True) if name in pair[0].keeps]
        for at, (memory, store) in enumerate(homes):
            read, write, last = memory.access_pj[name], memory.write_pj[name], at == len(homes) - 1
            # What lies outside the elements may serve those with one read that use the same value.
            served = 1 if store.per_element else _served(name, layer, flow, rows, columns)
            asked = np.maximum(sizes[name], products / served)
            if name == "outputs":
                share = memory.final_words / memory.words(name) if memory.final_words else 1.0
                updates = asked if last else sizes[name]
                rereads = np.maximum(0.0, asked - sizes[name] * apart) if last and store.per_element else 0.0
                spent = spent + updates * write * (1.0 if last else share) + rereads * read
            else:
                spent = spent + (asked if last else sizes[name]) * read + (sizes[name] * write if at else 0.0)
    return np.asarray(spent)


def _served(name: str, layer: Layer, flow: Dataflow, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The most elements of an array that use the same value of an operand at once.

    Those along an axis do, where a dimension lies along it that does not index the operand; of inputs also where output pixels and taps
    of one direction lie side by side, as their windows overlap.
    """
    operand = next(each for each in layer.operands if each.name == name)
    laid = {*flow.rows, *flow.columns}
    overlap = name == "inputs" and any({out, tap} <= laid for out, tap in (("P", "R"), ("Q", "S")))
    served = np.ones(len(rows))
    for axis, side in ((flow.rows, rows), (flow.columns, columns)):
        free = [layer.dimensions[each] for each in axis if not operand.indexed_by(each)]
        served = served * (side if overlap else np.minimum(side, np.prod(free, initial=1.0)))
    return served


@lru_cache(maxsize=4096)
def _least_turns(dimensions: tuple[int, ...], dataflow: str, rows: int, columns: int, lanes: int) -> np.ndarray:
    """Fewest turns of any layout on every array of up to so many rows and columns, float64 (rows + 1, columns + 1).

    A multiplier does `lanes` products of one sum in a turn. The sums' dimensions are laid first, then the others: laying the next one
    by x rows and y columns leaves n // x and m // y to those before.
    """
    flow = DATAFLOWS[dataflow]
    extents = dict(zip(DIMENSIONS, dimensions, strict=True))
    turns = np.ones((rows + 1, columns + 1))
    turns[0], turns[:, 0] = np.inf, np.inf
    for name in _REDUCED:
        turns = _laid(turns, name, extents[name], flow)
    turns = np.ceil(turns / lanes)
    for name in DIMENSIONS:
        if name not in _REDUCED:
            turns = _laid(turns, name, extents[name], flow)
    return turns


def _laid(turns: np.ndarray, name: str, extent: int, flow: Dataflow) -> np.ndarray:
    """The turns with one more dimension laid along the array in the best way."""
    height, width = np.arange(turns.shape[0]), np.arange(turns.shape[1])
    useful = sorted({-(-extent // n) for n in range(1, extent + 1)})
    down = [extent] if name in flow.unrolled else useful if name in flow.rows else [1]
    across = useful if name in flow.columns else [1]
    best = np.full_like(turns, np.inf)
    for x in down:
        if x >= len(height):
            continue
        for y in across:
            if y >= len(width) or (x > 1 and x * y >= 2 * extent):
                break
            np.minimum(best, -(-extent // (x * y)) * turns[np.ix_(height // x, width // y)], out=best)
    return best


def elements(layer: Layer) -> dict[str, int]:
    """Different elements of each tensor; of inputs, those that some window spans."""

    def span(out: int, taps: int) -> int:
        return (out - 1) * (layer.stride if taps > 1 else 1) + taps

    pixels = span(layer.p, layer.r) * span(layer.q, layer.s)
    return {
        "weights": layer.g * layer.m * layer.c * layer.r * layer.s,
        "inputs": layer.n * layer.g * layer.c * pixels,
        "outputs": layer.n * layer.g * layer.m * layer.p * layer.q,
    }
