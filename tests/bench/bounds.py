"""What no mapping of a layer on an array can beat, whatever its tiles: divided evenly, padded, or ragged.

Cycles: all turns that the best layout on the array takes, or everything through the outermost memory once; and loads that computing
waits for, once. Energy: every product with its accesses inside the elements, every tensor once through each memory that keeps it.
"""

from __future__ import annotations

from math import ceil

from mico_runner.accelerators import spatial
from mico_runner.accelerators.dataflow import DATAFLOWS, unrollings
from mico_runner.accelerators.spatial import Layer
from mico_runner.codesign.bounds import elements
from mico_runner.hardware import Architecture
from mico_runner.hardware.architecture_schema import OPERANDS


def least_cycles(layer: Layer, array: Architecture) -> int:
    """Cycles that every mapping takes at least."""
    machine, sizes = spatial.machine(array, layer), elements(layer)
    ways = unrollings(layer.dimensions, DATAFLOWS[array.dataflow], array.rows, array.columns)
    compute = ceil(int(ways.temporal.prod(axis=1).min()) / machine.lanes) * machine.serial
    outer = machine.memories[0]
    read = sum(sizes[name] * outer.words(name) for name in ("weights", "inputs"))
    written = sizes["outputs"] * (outer.final_words or outer.words("outputs"))
    moving = max(read / outer.read_words, written / outer.write_words, (read + written) / outer.shared_words)
    load = 0.0
    for memory in machine.memories:
        for name, network in memory.networks.items():
            load += 0.0 if network.overlapped else sizes[name] * memory.words(name) / network.words
    return max(compute, ceil(moving)) + ceil(load - 1e-9)


def least_energy(layer: Layer, array: Architecture) -> float:
    """Energy (pJ) that every mapping takes at least, that of networks aside."""
    machine, sizes, flow = spatial.machine(array, layer), elements(layer), DATAFLOWS[array.dataflow]
    products = layer.n * layer.g * layer.m * layer.c * layer.p * layer.q * layer.r * layer.s
    # Elements whose sums are added on the way out of the array start each from nothing, without a read.
    reducing = {"C", "R", "S"}
    apart = (array.rows if reducing & {*flow.rows} else 1) * (array.columns if reducing & {*flow.columns} else 1)
    spent = products * machine.mac_pj
    for name in OPERANDS:
        homes = [pair for pair in zip(machine.memories, array.stores, strict=True) if name in pair[0].keeps]
        for at, (memory, store) in enumerate(homes):
            read, write, last = memory.access_pj[name], memory.write_pj[name], at == len(homes) - 1
            # What lies outside the elements may serve all of them with one read.
            asked = products if store.per_element else max(sizes[name], products / (array.rows * array.columns))
            if name == "outputs":
                share = memory.final_words / memory.words(name) if memory.final_words else 1.0
                updates = asked if last else sizes[name]
                rereads = max(0.0, asked - sizes[name] * apart) if last and store.per_element else 0.0
                spent += updates * write * (1.0 if last else share) + rereads * read
            else:
                spent += (asked if last else sizes[name]) * read + (sizes[name] * write if at else 0.0)
    return spent
