"""BitFusion: cycles of convolutions and matrix products at mixed precision, with the trace that explains them.

The model is the one behind the published MiCo profiles (docs/design/bitfusion.md has the formulas); the mapping search is in
`bitfusion_search`. The array cannot share its rows among the groups of a convolution: groups run one after another, or some together as
one dense product with zero weights between them, whichever is faster. The last bundle of groups is filled up with zeros.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from mico_runner.accelerators import bitfusion_search as mapping
from mico_runner.accelerators import register
from mico_runner.accelerators.base import Accelerator, refuse_others, row_name
from mico_runner.accelerators.bitfusion_search import Array
from mico_runner.errors import UsageError
from mico_runner.hardware import Hardware
from mico_runner.kernel_table import BITS, SHAPE, TOKENS


@register(
    "bitfusion",
    units=("input_rows", "output_columns"),
    parameters={
        "input_rows": "whole",
        "output_columns": "whole",
        "unit_bits": "whole",
        "brick_bits": "whole",
        "weight_sram_bytes": "positive",
        "act_sram_bytes": "positive",
        "output_sram_bytes": "positive",
        "dram_bits_per_cycle": "rate",
        "usable_fraction": "share",
        "output_bits": "whole",
        "mac_pj": "positive",
        "sram_pj_per_bit": "positive",
        "dram_pj_per_bit": "positive",
    },
    rules=(("brick_bits", "unit_bits % brick_bits == 0", "allowed: a divisor of unit_bits, which is {unit_bits:g}"),),
    tiles={  # one pass over the rows for one output, at the bits that need most
        "weight": "input_rows * max((unit_bits // brick_bits) ** 2 * brick_bits, unit_bits)",
        "act": "unit_bits",
        "output": "output_columns * output_bits",
    },
)
class BitFusion(Accelerator):
    """Fusion units that split into bricks, power-of-two tiles in three memories; the fastest mapping of each layer."""

    def __init__(self, hardware: Hardware | Array) -> None:
        self.array = hardware if isinstance(hardware, Array) else _array(hardware)

    def simulate(self, table: pd.DataFrame) -> pd.DataFrame:
        """The fastest mapping of each row of a kernel table, with what its cycles are made of.

        Args:
            table: kernel table of conv2d and linear rows. The batch is the table's own.

        Returns:
            As `Accelerator.simulate`, whole numbers but for energies and `utilisation`:
            cycles = compute_cycles + stall_cycles + fill_cycles + drain_cycles;
            sram_bits = weight_sram_bits + act_sram_bits + output_sram_bits + dram_bits: the array's accesses, and each bit of
            DRAM traffic once more;
            energy_pj = mac_pj + sram_pj + dram_pj;
            tile_<loop> and `loop_order` (outermost first): the chosen mapping;
            groups_together: groups of a convolution that run as one dense product, zero weights between them.

        Raises:
            UsageError: a kind of kernel or a bit-width that BitFusion does not run, or no tile that fits its memories.
        """
        array = self.array
        merged, row_of = _merged(table)
        layers, groups = _layers(merged, array)
        tiling, orders = mapping.search(layers, array)
        without = ~np.isin(np.arange(len(table)), row_of[orders >= 0])
        if without.any():
            raise UsageError(_no_mapping(table.iloc[int(np.argmax(without))], array))
        parts = [
            _explain(tiling.take(slice(0)), mapping.LOOPS, groups[:0], array)
        ]  # the columns, when there are no rows
        for order in np.unique(orders[orders >= 0]):
            rows = np.flatnonzero(orders == order)
            parts.append(_explain(tiling.take(rows), mapping.ORDERS[order], groups[rows], array).set_index(rows))
        trace = pd.concat(parts).sort_index()
        # Of each row the fastest way, then the one of least traffic, then of fewest groups together; lexsort's last key counts first.
        ranked = trace.index.to_numpy()[np.lexsort((trace["dram_bits"], trace["cycles"], row_of[trace.index]))]
        best = ranked[np.unique(row_of[ranked], return_index=True)[1]]
        trace, layers = trace.loc[best].set_axis(table.index), layers.take(best)
        trace["groups_together"] = (
            merged["in_channels"].to_numpy()[best]
            // groups[best]
            // (table["in_channels"].to_numpy() // table["groups"].to_numpy())
        )
        lanes = array.products(layers.act_bits, layers.weight_bits)
        # Each cycle of computing takes new weights into all units, and new activations into all rows.
        trace["weight_sram_bits"] = trace["compute_cycles"] * array.rows * array.columns * lanes * layers.weight_bits
        trace["act_sram_bits"] = trace["compute_cycles"] * array.rows * lanes * layers.act_bits
        trace["sram_bits"] = (
            trace[[f"{tensor}_sram_bits" for tensor in mapping.INDEXED_BY]].sum(axis=1) + trace["dram_bits"]
        )
        macs = table["macs"].to_numpy()
        trace["mac_pj"] = macs * array.mac_pj / lanes
        trace["sram_pj"] = trace["sram_bits"] * array.sram_pj_per_bit
        trace["dram_pj"] = trace["dram_bits"] * array.dram_pj_per_bit
        trace["energy_pj"] = trace["mac_pj"] + trace["sram_pj"] + trace["dram_pj"]
        return trace.assign(utilisation=macs / (trace["cycles"].to_numpy() * array.rows * array.columns * lanes))


def _array(hardware: Hardware) -> Array:
    if hardware.kind != "bitfusion":
        raise UsageError(f"hardware {hardware.name!r} is of kind {hardware.kind!r}; BitFusion needs kind 'bitfusion'")
    value = hardware.value
    return Array(
        rows=int(value("input_rows")),
        columns=int(value("output_columns")),
        unit_bits=int(value("unit_bits")),
        brick_bits=int(value("brick_bits")),
        sram={tensor: 8 * value("usable_fraction") * value(f"{tensor}_sram_bytes") for tensor in mapping.INDEXED_BY},
        bandwidth=value("dram_bits_per_cycle"),
        output_bits=int(value("output_bits")),
        mac_pj=value("mac_pj"),
        sram_pj_per_bit=value("sram_pj_per_bit"),
        dram_pj_per_bit=value("dram_pj_per_bit"),
    )


def _explain(tiling: mapping.Candidates, order: tuple[str, ...], groups: np.ndarray, array: Array) -> pd.DataFrame:
    """The trace of layers that share a loop order."""
    moved = mapping.traffic(tiling, order, array)
    time = mapping.cycles(tiling, moved, array)
    counts = {
        "cycles": time.total,
        **{f"{part}_cycles": getattr(time, part) for part in ("compute", "stall", "fill", "drain")},
        "dram_bits": mapping.dram_bits(moved),
        "weight_read_bits": moved["weight"].moved,
        "act_read_bits": moved["act"].moved,
        "output_read_bits": moved["output"].moved,
        "output_write_bits": moved["output"].moved,
        # A column keeps its sums while a tile is computed: each tile reads and writes them once.
        "output_sram_bits": 2 * tiling.bits["output"] * np.prod(list(tiling.trips.values()), axis=0),
    }
    tiles = {f"tile_{loop}": tiling.tile[loop] for loop in mapping.LOOPS}
    trace = pd.DataFrame({name: (values * groups).astype("int64") for name, values in counts.items()} | tiles)
    return trace.assign(loop_order=" ".join(reversed(order)))


def non_monotone(table: pd.DataFrame, latency: str = "latency") -> pd.DataFrame:
    """Pairs of rows of one shape where *more* bits are *faster*.

    Args:
        table: kernel table with a latency column, of any target.
        latency: its name; any other cost will do ("dram_bits").

    Returns:
        One row per case: the shape, `act_bits`, `weight_bits`, the latency there; `faster_act_bits`, `faster_weight_bits`
        (both at least as wide, one wider) with the least latency, `faster_latency`. Largest saving first.
    """
    keys = ["kind", *SHAPE]
    narrow = table[[*keys, *BITS, latency]]
    wide = narrow.rename(columns=lambda c: c if c in keys else f"faster_{c}")
    pairs = narrow.merge(wide, on=keys)
    more_bits = (pairs["faster_act_bits"] >= pairs["act_bits"]) & (pairs["faster_weight_bits"] >= pairs["weight_bits"])
    pairs = pairs[more_bits & (pairs[f"faster_{latency}"] < pairs[latency])]
    pairs = pairs.sort_values([f"faster_{latency}", "faster_act_bits", "faster_weight_bits"], kind="stable")
    pairs = pairs.drop_duplicates([*keys, *BITS])
    saved = 1 - pairs[f"faster_{latency}"] / pairs[latency]
    return pairs.loc[saved.sort_values(ascending=False, kind="stable").index].reset_index(drop=True)


def _layers(table: pd.DataFrame, array: Array) -> tuple[mapping.Layers, np.ndarray]:
    """The table's rows as the search wants them: one group of each convolution, and the number of groups."""
    refuse_others(table, array.unit_bits)
    column = {name: table[name].to_numpy("int64") for name in table.columns if table[name].dtype.kind == "i"}
    groups = column["groups"]
    extent = {loop: column[loop] for loop in mapping.LOOPS}
    extent |= {loop: column[loop] // groups for loop in ("in_channels", "out_channels")}
    step = np.where(table["kind"].isin(TOKENS), array.columns, 1)
    taps = column["kernel_h"] * column["kernel_w"]
    return mapping.Layers(extent, taps, column["act_bits"], column["weight_bits"], step), groups


def _merged(table: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """The ways to run each row's groups: bundles of 1, 2, 4, ... of them, the last one filled up -> (rows, row that each stands for).

    Such a row has as many groups as there are bundles, and the channels of all of them.
    """
    groups = table["groups"].to_numpy("int64")
    ways = [[1 << k for k in range(int(g - 1).bit_length() + 1)] for g in groups]
    row_of = np.repeat(np.arange(len(table)), [len(w) for w in ways])
    together = np.array([size for w in ways for size in w], dtype="int64")
    bundles = -(-groups[row_of] // together)
    merged = table.iloc[row_of]
    channels = {
        name: merged[name].to_numpy("int64") // groups[row_of] * together * bundles
        for name in ("in_channels", "out_channels")
    }
    return merged.assign(groups=bundles, **channels), row_of


def _no_mapping(row: pd.Series, array: Array) -> str:
    """Names the memory that not even the smallest tile fits."""
    layer, _ = _layers(row.to_frame().T.infer_objects(), array)
    smallest = mapping.tilings(layer, array)[0].bits
    for tensor, bits in smallest.items():
        if bits.min() > array.sram[tensor]:
            need = f"{bits.min() / 8:g} of {array.sram[tensor] / 8:g} usable bytes"
            return f"BitFusion: {row_name(row)}: no mapping: the smallest {tensor} tile needs {need}"
    return f"BitFusion: {row_name(row)}: no mapping: no tile fits the three memories at once"
