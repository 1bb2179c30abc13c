"""Arrays of elements behind a hierarchy of memories: latency and energy of each layer under the best mapping that the mapper finds.

The array, its memories and its dataflow come from the `architecture` of a device profile; docs/design/hierarchy.md has the
rules of counting.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from math import ceil, prod
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mico_runner.accelerators import mapper, register, sparsity
from mico_runner.accelerators.base import Accelerator, refuse_others, row_name
from mico_runner.accelerators.dataflow import DATAFLOWS, DIMENSIONS, unrollings
from mico_runner.accelerators.machine import Loop, Machine, Memory, Nest, Network, Operand
from mico_runner.accelerators.mapper import Budget, Space, Workload
from mico_runner.errors import UsageError
from mico_runner.hardware import Architecture, Hardware
from mico_runner.hardware.architecture_schema import OPERANDS


class Layer(NamedTuple):
    """A convolution or matrix product as a nest of loops, with the bits of its operands."""

    n: int
    g: int
    m: int
    c: int
    p: int
    q: int
    r: int
    s: int
    stride: int
    act_bits: int
    weight_bits: int

    @property
    def dimensions(self) -> dict[str, int]:
        return dict(zip(DIMENSIONS, self[: len(DIMENSIONS)], strict=True))

    @property
    def operands(self) -> tuple[Operand, ...]:
        """The operands with what indexes them. A window of one tap reads the pixels that it uses, whatever the stride."""
        rows, columns = (
            {out: self.stride if taps > 1 else 1, tap: 1} for out, tap, taps in (("P", "R", self.r), ("Q", "S", self.s))
        )
        return (
            Operand("weights", ({"G": 1}, {"M": 1}, {"C": 1}, {"R": 1}, {"S": 1})),
            Operand("inputs", ({"N": 1}, {"G": 1}, {"C": 1}, rows, columns)),
            Operand("outputs", ({"N": 1}, {"G": 1}, {"M": 1}, {"P": 1}, {"Q": 1}), written=True),
        )


@register("spatial")
class Spatial(Accelerator):
    """Arrays of elements behind a hierarchy of memories; the best mapping of each layer that the mapper finds."""

    def __init__(self, hardware: Hardware | Architecture) -> None:
        self.array = hardware if isinstance(hardware, Architecture) else _architecture(hardware)

    def simulate(self, table: pd.DataFrame) -> pd.DataFrame:
        """The best mapping of each row of a kernel table, with what its cycles and energy are made of.

        Args:
            table: kernel table of conv2d and linear rows, grouped ones included (depthwise, attention). The batch is the table's own.

        Returns:
            As `Accelerator.simulate`:
            cycles = compute_cycles + load_cycles + stall_cycles: multiplying, waiting for what does not load beside it, and for the
            slowest memory or network;
            energy_pj = mac_pj + network_pj + <memory>_pj, one column per memory;
            <memory>_<operand>_read_bits and _write_bits: traffic of all its instances;
            <memory>_busy, <memory>_network_busy: cycles that it needs for its traffic, float; the longest, if it is longer than
            computing, makes the stall;
            limit: what sets the cycles; mapping: its loops; mappings_seen, mappings: of the search.

        Raises:
            UsageError: a kind of kernel or a bit-width that the array does not run, or no valid mapping, with what forbids it.
        """
        array = self.array
        refuse_others(table, array.mac_bits)
        rows = []
        for _, row in table.iterrows():
            try:
                rows.append(_trace(layer_of(row), array))
            except UsageError as error:
                raise UsageError(f"{row_name(row)}: {error}") from None
        empty = _trace(Layer(*[1] * len(Layer._fields)), array)
        return pd.DataFrame(rows, index=table.index, columns=list(empty))


def _architecture(hardware: Hardware) -> Architecture:
    if hardware.architecture is None:
        raise UsageError(f"hardware {hardware.name!r} is of kind {hardware.kind!r}; an array needs kind 'spatial'")
    return hardware.architecture


def layer_of(row: Any) -> Layer:
    """A row of a kernel table, of `itertuples` or a Series, as loops."""
    groups = row.groups
    sizes = (row.out_h, row.out_w, row.kernel_h, row.kernel_w)
    return Layer(
        row.batch,
        groups,
        row.out_channels // groups,
        row.in_channels // groups,
        *sizes,
        row.stride,
        row.act_bits,
        row.weight_bits,
    )


def machine(array: Architecture, layer: Layer) -> Machine:
    """The array for operands of the layer's bits; a word is a bit."""
    bits = {"weights": layer.weight_bits, "inputs": layer.act_bits, "outputs": array.accumulator_bits}
    memories = []
    for number, store in enumerate(array.stores):
        words = {name: float(store.element_bits(bits[name])) for name in store.keeps}
        final = float(store.element_bits(array.output_bits)) if number == 0 else None
        networks = {
            name: Network(feed.bandwidth, feed.overlapped, feed.pj_per_bit * words[name], feed.shared)
            for name, feed in store.feeds
        }
        memories.append(
            Memory(
                name=store.name,
                keeps=store.keeps,
                access_pj={name: store.read_pj * w for name, w in words.items()},
                write_pj={name: store.write_pj * w for name, w in words.items()},
                size_words=store.size,
                read_words=store.read,
                write_words=store.write,
                shared_words=store.shared,
                element_words=words,
                final_words=final,
                networks=networks,
                beside=store.beside,
            )
        )
    lanes, serial, pj = _multiplier(array, layer)
    return Machine(tuple(memories), array.rows * array.columns, pj, lanes, serial, "bits")


def _multiplier(array: Architecture, layer: Layer) -> tuple[int, int, float]:
    """Products side by side, cycles for them, and energy of one, as for systolic arrays (docs/design/systolic.md)."""
    if array.mac_kind == "bit_serial":
        return 1, layer.act_bits, array.mac_pj * layer.act_bits / array.mac_bits
    if array.mac_kind == "fused":
        split = [array.mac_bits // max(bits, array.mac_granularity) for bits in (layer.act_bits, layer.weight_bits)]
        lanes = split[0] * split[1]
        return lanes, 1, array.mac_pj / lanes
    return 1, 1, array.mac_pj


@lru_cache(maxsize=10_000)
def best(layer: Layer, array: Architecture) -> mapper.Best:
    """The mapping that the array's dataflow and objective choose; for a batch, at least as good as one sample after another.

    Raises UsageError: none is valid.
    """
    flow = DATAFLOWS[array.dataflow]
    outside = sum(not store.per_element for store in array.stores) - 1
    inside = len(array.stores) - 1
    restricted: dict[str, tuple[int, ...]] = dict.fromkeys(flow.outside, (outside,))
    restricted |= dict.fromkeys(flow.inside, (inside,)) | dict.fromkeys(flow.near, (outside, inside))
    on = machine(array, layer)
    try:
        ways = unrollings(layer.dimensions, flow, array.rows, array.columns)
        space = Space(ways.best, outside, restricted, flow.stationary, ways.temporal)
        found = mapper.search(_workload(layer, array, on), on, space, array.objective, Budget(array.mappings))
    except UsageError as error:
        raise UsageError(f"{array.dataflow}: {error}") from None
    return found if layer.n == 1 else _no_worse_than_apart(found, layer, array, on)


def _no_worse_than_apart(found: mapper.Best, layer: Layer, array: Architecture, on: Machine) -> mapper.Best:
    """The mapping found, or that of one sample with a loop over the batch outside, if this is better: the sample may have missed it."""
    alone = best(layer._replace(n=1), array)
    nest = [[Loop("N", np.array([layer.n])), *alone.nest[0]], *alone.nest[1:]]
    cost = _workload(layer, array, on).cost(nest, on)
    apart = replace(found, cycles=int(cost.cycles[0]), energy_pj=float(cost.total_pj[0]), nest=nest)

    def score(one: mapper.Best) -> tuple[float, float]:
        return mapper.score(array.objective, one.cycles, one.energy_pj)

    return min(found, apart, key=score)


def _workload(layer: Layer, array: Architecture, on: Machine) -> Workload:
    zeros = sparsity.of_array(array.zeros, on) if array.zeros else None
    return Workload(layer.dimensions, layer.operands, prod(layer.dimensions.values()), zeros)


def _trace(layer: Layer, array: Architecture) -> dict[str, object]:
    found = best(layer, array)
    built = machine(array, layer)
    cost = _workload(layer, array, built).cost(found.nest, built)
    compute, load = int(cost.compute_cycles[0]), int(cost.load_cycles[0])
    moved = {key: (float(read[0]), float(write[0])) for key, (read, write) in cost.words.items()}
    outer = array.stores[0].name
    (weights, _), (inputs, _), results = (moved[outer, name] for name in OPERANDS)
    traffic = {
        "weight_read_bits": weights,
        "act_read_bits": inputs,
        "output_read_bits": results[0],
        "output_write_bits": results[1],
    }
    traffic = {name: ceil(bits) for name, bits in traffic.items()}
    spent = {f"{name}_pj": float(part[0]) for name, part in cost.energy_pj.items()}
    inner = {
        f"{memory}_{name}_{way}_bits": ceil(bits)
        for (memory, name), both in moved.items()
        if memory != outer
        for way, bits in zip(("read", "write"), both, strict=True)
    }
    busy = {f"{name.replace(' ', '_')}_busy": float(part[0]) for name, part in cost.needed.items()}
    return {
        "cycles": int(cost.cycles[0]),
        "compute_cycles": compute,
        "load_cycles": load,
        "stall_cycles": int(cost.cycles[0]) - compute - load,
        "dram_bits": sum(traffic.values()),
        **traffic,
        **inner,
        **busy,
        **spent,
        "energy_pj": sum(spent.values()),
        "utilisation": float(cost.utilisation[0]),
        "limit": str(cost.slowest[0]),
        "mapping": describe(found.nest, built),
        "mappings_seen": found.seen,
        "mappings": found.space,
    }


def describe(nest: Nest, on: Machine) -> str:
    """A mapping in one line: per memory, outermost first, its loops; those side by side in brackets."""
    parts = []
    for memory, loops in zip(on.memories, nest, strict=True):
        shown = [f"[{x.dimension}{int(x.bound[0])}]" if x.spatial else f"{x.dimension}{int(x.bound[0])}" for x in loops]
        parts.append(f"{memory.name}: {' '.join(shown) or '-'}")
    return "; ".join(parts)
