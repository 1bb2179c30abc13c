"""Systolic arrays in the style of SCALE-Sim, Gemmini and the TPU: cycles, DRAM traffic and energy at mixed precision.

A layer is a matrix product of T pixels x D taps x M filters, cut into folds of the array's size. Three dataflows are known
(docs/design/systolic.md has the formulas); of those that the device profile allows, the fastest counts for each layer.
Grouped convolutions run one group after another.

Source of the compute cycles: A. Samajdar et al., "A systematic methodology for characterizing scalability of DNN accelerators
using SCALE-Sim", ISPASS 2020, as SCALE-Sim 3.0.0 counts them. The DRAM schedules are this project's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mico_runner.errors import UsageError
from mico_runner.hardware import Hardware
from mico_runner.hardware.parameters import DATAFLOWS
from mico_runner.kernel_table import BITS

KINDS = ("conv2d", "linear")
TENSORS = ("weight", "act", "output")
_WHOLE = ("rows", "columns", "mac_bits", "brick_bits", "serial_bits", "output_bits", "accumulator_bits")


@dataclass(frozen=True)
class Array:
    """The array and its memories, in bits, cycles and pJ.

    Attributes:
        rows, columns: multiply-accumulate units.
        mac_bits: operand width of one undivided unit.
        brick_bits: narrowest operand that still splits a unit; `mac_bits`: it cannot be split.
        serial_bits: activation bits that a unit takes per cycle; `mac_bits`: all at once, 1: bit-serial.
        dataflows: those of `DATAFLOWS` that the array can run.
        sram: tensor -> bits usable by one tensor (the rest of the memory is being filled).
        bandwidth: DRAM bits per cycle, reads and writes together; may be infinite.
        output_bits, accumulator_bits: width of a finished output in DRAM, and of a partial sum.
        mac_pj: energy of one product of `mac_bits` x `mac_bits` with its addition.
        sram_pj_per_bit, dram_pj_per_bit: energy of moving one bit.
    """

    rows: int
    columns: int
    mac_bits: int
    brick_bits: int
    serial_bits: int
    dataflows: tuple[str, ...]
    sram: dict[str, float]
    bandwidth: float
    output_bits: int
    accumulator_bits: int
    mac_pj: float
    sram_pj_per_bit: float
    dram_pj_per_bit: float

    def lanes(self, act_bits: np.ndarray, weight_bits: np.ndarray) -> np.ndarray:
        """Products that one unit does side by side at these operand widths."""
        split = [self.mac_bits // np.maximum(bits, self.brick_bits) for bits in (act_bits, weight_bits)]
        return split[0] * split[1]

    def serial_cycles(self, act_bits: np.ndarray) -> np.ndarray:
        """Cycles that a unit takes for one activation."""
        return -(-act_bits // self.serial_bits)


@dataclass(frozen=True)
class _Products:
    """One matrix product per entry: `pixels` x `taps` x `filters`, sizes in bits; `lanes` and `serial` as in `Array`."""

    pixels: np.ndarray
    taps: np.ndarray
    filters: np.ndarray
    act_bits: np.ndarray
    weight_bits: np.ndarray
    inputs: np.ndarray  # bits of the activations in DRAM, each counted once
    weights: np.ndarray  # bits of the weights
    lanes: np.ndarray
    serial: np.ndarray


def array(hardware: Hardware) -> Array:
    """A systolic array's parameters from a device profile. Raises UsageError: the device is of another kind."""
    if hardware.kind != "systolic":
        raise UsageError(
            f"hardware {hardware.name!r} is of kind {hardware.kind!r}; a systolic array needs kind 'systolic'"
        )
    value = hardware.value
    return Array(
        **{name: int(value(name)) for name in _WHOLE},
        dataflows=tuple(name for name in DATAFLOWS if value(name)),
        sram={tensor: 8 * value("usable_fraction") * value(f"{tensor}_sram_bytes") for tensor in TENSORS},
        bandwidth=value("dram_bits_per_cycle"),
        **{name: value(name) for name in ("mac_pj", "sram_pj_per_bit", "dram_pj_per_bit")},
    )


def cycles(table: pd.DataFrame, hardware: Hardware | Array) -> np.ndarray:
    """Latency of each row of a kernel table (`mico_runner.kernel_table`), int64 (rows,), in cycles; see `simulate`."""
    return simulate(table, hardware)["cycles"].to_numpy()


def simulate(table: pd.DataFrame, hardware: Hardware | Array) -> pd.DataFrame:
    """The fastest dataflow and DRAM schedule of each row of a kernel table, with what its cycles and energy are made of.

    Args:
        table: kernel table of conv2d and linear rows. The batch is the table's own.
        hardware: a device profile of kind systolic, e.g. `hardware.load("gemmini-16x16")`, or the parameters.

    Returns:
        One row per row of `table`, same index, counts are whole numbers:
        cycles = compute_cycles + stall_cycles;
        dram_bits = weight_read_bits + act_read_bits + output_read_bits + output_write_bits, reads and writes of partial
        sums that outgrow their memory included;
        sram_bits = weight_sram_bits + act_sram_bits + output_sram_bits + dram_bits: the array's accesses, and each bit of
        DRAM traffic once more;
        energy_pj = mac_pj + sram_pj + dram_pj;
        utilisation: MACs done per MAC that the array could have done in `cycles` at these bit-widths;
        dataflow, passes: the choice, and the parts that the streamed dimension is cut into so that tiles fit.

    Raises:
        UsageError: a kind of kernel or a bit-width that the array does not run.
    """
    machine = hardware if isinstance(hardware, Array) else array(hardware)
    products, groups = _products(table, machine)
    candidates = [c for name in machine.dataflows for c in _SCHEDULES[name](products, machine)]
    stacked = {key: np.stack([c[key] for c in candidates]) for key in candidates[0] if key != "dataflow"}
    compute = groups * stacked["compute_cycles"]
    reads = sum(stacked[f"{tensor}_read_bits"] for tensor in TENSORS)
    dram = groups * (reads + stacked["output_write_bits"])
    stall = np.maximum(0, np.ceil(dram / machine.bandwidth) - compute)
    # The last key of lexsort is the first that counts: cycles, then traffic, then the order of the schedules.
    best = np.lexsort(
        (np.broadcast_to(np.arange(len(candidates))[:, None], dram.shape), dram, compute + stall), axis=0
    )[0]

    def chosen(values: np.ndarray) -> np.ndarray:
        return np.take_along_axis(values, best[None], axis=0)[0]

    counts = {"cycles": chosen(compute + stall), "compute_cycles": chosen(compute), "stall_cycles": chosen(stall)}
    counts["dram_bits"] = chosen(dram)
    moved = ["weight_read_bits", "act_read_bits", "output_read_bits", "output_write_bits"]
    inner = [f"{tensor}_sram_bits" for tensor in TENSORS]
    counts |= {name: groups * chosen(stacked[name]) for name in [*moved, *inner]}
    counts["sram_bits"] = sum(counts[name] for name in inner) + counts["dram_bits"]
    trace = pd.DataFrame({name: values.astype("int64") for name, values in counts.items()}, index=table.index)
    macs = table["macs"].to_numpy()
    # The unit's energy, for the share of it and the cycles that one product takes.
    per_mac = machine.mac_pj * products.serial * machine.serial_bits / machine.mac_bits / products.lanes
    trace["mac_pj"] = macs * per_mac
    trace["sram_pj"] = trace["sram_bits"] * machine.sram_pj_per_bit
    trace["dram_pj"] = trace["dram_bits"] * machine.dram_pj_per_bit
    trace["energy_pj"] = trace["mac_pj"] + trace["sram_pj"] + trace["dram_pj"]
    peak = machine.rows * machine.columns * products.lanes / products.serial
    trace["utilisation"] = macs / (trace["cycles"].to_numpy() * peak)
    names = np.array([c["dataflow"] for c in candidates])
    return trace.assign(dataflow=names[best], passes=chosen(stacked["passes"]).astype("int64"))


def _output_stationary(p: _Products, machine: Array) -> list[dict]:
    """Pixels on the rows, filters on the columns; taps stream. Finished outputs leave the array once."""
    down, across = _ceil(p.pixels, machine.rows), _ceil(p.filters, machine.columns)
    skew = machine.rows + machine.columns - 2
    compute = down * across * (_ceil(p.taps, p.lanes) * p.serial + skew) - 1
    outputs = p.pixels * p.filters
    common = {
        "dataflow": "output_stationary",
        "passes": np.ones_like(p.pixels),
        "compute_cycles": compute,
        "output_read_bits": np.zeros_like(outputs),
        "output_write_bits": outputs * machine.output_bits,
        "weight_sram_bits": p.weights * down,
        "act_sram_bits": p.pixels * p.taps * p.act_bits * across,
        "output_sram_bits": outputs * machine.accumulator_bits,
    }
    sram = machine.sram
    filters_outside = {  # a column tile of weights serves all pixels
        "weight_read_bits": p.weights
        * np.where(_tile(p.weights, p.filters, machine.columns) <= sram["weight"], 1, down),
        "act_read_bits": p.inputs * np.where(p.inputs <= sram["act"], 1, across),
    }
    pixels_outside = {  # a row tile of activations serves all filters
        "weight_read_bits": p.weights * np.where(p.weights <= sram["weight"], 1, down),
        "act_read_bits": p.inputs * np.where(_tile(p.inputs, p.pixels, machine.rows) <= sram["act"], 1, across),
    }
    return [common | filters_outside, common | pixels_outside]


def _weight_stationary(p: _Products, machine: Array) -> list[dict]:
    """Taps on the rows, filters on the columns; pixels stream."""
    found = _stationary(p, p.pixels, p.filters, (p.inputs, "act"), (p.weights, "weight"), machine)
    for schedule in found:
        schedule |= {"dataflow": "weight_stationary", "weight_sram_bits": p.weights * schedule["passes"]}
        schedule["act_sram_bits"] = p.pixels * p.taps * p.act_bits * _ceil(p.filters, machine.columns)
    return found


def _input_stationary(p: _Products, machine: Array) -> list[dict]:
    """Taps on the rows, pixels on the columns; filters stream: weight stationary with the operands exchanged."""
    found = _stationary(p, p.filters, p.pixels, (p.weights, "weight"), (p.inputs, "act"), machine)
    for schedule in found:
        loaded = p.pixels * p.taps * p.act_bits * schedule["passes"]
        schedule |= {"dataflow": "input_stationary", "act_sram_bits": loaded}
        schedule["weight_sram_bits"] = p.weights * _ceil(p.pixels, machine.columns)
    return found


def _stationary(
    p: _Products,
    streamed: np.ndarray,
    across: np.ndarray,
    moving: tuple[np.ndarray, str],
    held: tuple[np.ndarray, str],
    machine: Array,
) -> list[dict]:
    """Schedules that keep one operand in the array, and accumulate partial sums over the folds of the taps.

    Either the streamed dimension goes through whole, and partial sums that outgrow their memory travel to DRAM and back; or it is cut
    into passes whose partial sums (and, in the third schedule, whose moving operand) fit, and each pass loads the held operand
    into the array again.

    Args:
        streamed, across: extents of the streamed dimension and of the one along the columns.
        moving, held: (bits, tensor) of the operand that streams and of the one that stays.
    """
    folds, columns = _ceil(p.taps, machine.rows * p.lanes), _ceil(across, machine.columns)
    outputs = streamed * across
    sum_bits = np.minimum(across, machine.columns) * machine.accumulator_bits  # partial sums of one streamed row
    moving_bits, moving_name = moving
    held_bits, held_name = held
    room = machine.sram
    sums_fit = _ceil(streamed, np.maximum(1, room["output"] // sum_bits).astype("int64"))
    both_fit = np.maximum(sums_fit, np.ceil(moving_bits / room[moving_name]).astype("int64"))
    both_fit = np.minimum(both_fit, streamed)
    reread = np.where(moving_bits <= room[moving_name], 1, columns)
    once = np.ones_like(streamed)
    spilled = np.where(streamed * sum_bits <= room["output"], 0, outputs * (folds - 1) * machine.accumulator_bits)
    fits = _ceil(moving_bits, both_fit) <= room[moving_name]
    skew = 2 * machine.rows + machine.columns - 2
    schedules = []
    for passes, reads, spill in (
        (once, reread, spilled),
        (sums_fit, reread, 0 * spilled),
        (both_fit, np.where(fits, 1, columns), 0 * spilled),
    ):
        reload = np.where(held_bits <= room[held_name], 1, passes)
        schedules.append(
            {
                "passes": passes,
                "compute_cycles": folds * columns * (streamed * p.serial + passes * skew) - 1,
                f"{moving_name}_read_bits": moving_bits * reads,
                f"{held_name}_read_bits": held_bits * reload,
                "output_read_bits": spill,
                "output_write_bits": spill + outputs * machine.output_bits,
                "output_sram_bits": outputs * (2 * folds - 1) * machine.accumulator_bits,
            }
        )
    return schedules


_SCHEDULES = {
    "weight_stationary": _weight_stationary,
    "output_stationary": _output_stationary,
    "input_stationary": _input_stationary,
}


def _products(table: pd.DataFrame, machine: Array) -> tuple[_Products, np.ndarray]:
    """The table's rows as matrix products of one group, and the number of groups."""
    _refuse(table, ~table["kind"].isin(KINDS), "kind", f"one of {', '.join(KINDS)}")
    for column in BITS:
        _refuse(table, ~table[column].between(1, machine.mac_bits), column, f"1 to {machine.mac_bits}")
    column = {name: table[name].to_numpy("int64") for name in table.columns if table[name].dtype.kind == "i"}
    groups, act, weight = column["groups"], column["act_bits"], column["weight_bits"]
    channels, filters = column["in_channels"] // groups, column["out_channels"] // groups
    pixels = column["batch"] * column["out_h"] * column["out_w"]
    taps = channels * column["kernel_h"] * column["kernel_w"]
    # Where the stride skips pixels, only those that some window holds are read.
    inputs = np.minimum(column["batch"] * channels * column["in_h"] * column["in_w"], pixels * taps)
    lanes, serial = machine.lanes(act, weight), machine.serial_cycles(act)
    return _Products(pixels, taps, filters, act, weight, inputs * act, taps * filters * weight, lanes, serial), groups


def _refuse(table: pd.DataFrame, bad: pd.Series, column: str, allowed: str) -> None:
    if bad.any():
        row = table[bad].iloc[0]
        name = f"layer {row['layer']!r}" if "layer" in row else f"row {row.name}"
        raise UsageError(f"systolic array: {name}: {column} is {str(row[column])!r}; allowed: {allowed}")


def _tile(bits: np.ndarray, extent: np.ndarray, size: int) -> np.ndarray:
    """Bits of a tile of `size` of a dimension's `extent`."""
    return bits * np.minimum(extent, size) / extent


def _ceil(a: np.ndarray, b: np.ndarray | int) -> np.ndarray:
    """Ceiling of the quotient of whole numbers."""
    return -(-a // b)
