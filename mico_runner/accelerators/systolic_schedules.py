"""DRAM schedules of a systolic array under its three dataflows: cycles and traffic of many matrix products at once.

docs/design/systolic.md has the formulas.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

TENSORS = ("weight", "act", "output")
Schedule = dict[str, Any]  # column of the trace -> array over the products; "dataflow" -> its name


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
        objective: what the schedule is chosen by: cycles (least traffic among equals), energy (least cycles) or edp, their product.
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
    objective: str = "cycles"

    def lanes(self, act_bits: np.ndarray, weight_bits: np.ndarray) -> np.ndarray:
        """Products that one unit does side by side at these operand widths."""
        split = [self.mac_bits // np.maximum(bits, self.brick_bits) for bits in (act_bits, weight_bits)]
        lanes: np.ndarray = split[0] * split[1]
        return lanes

    def serial_cycles(self, act_bits: np.ndarray) -> np.ndarray:
        """Cycles that a unit takes for one activation."""
        return -(-act_bits // self.serial_bits)


@dataclass(frozen=True)
class Products:
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


def _output_stationary(p: Products, array: Array) -> list[Schedule]:
    """Pixels on the rows, filters on the columns; taps stream. Finished outputs leave the array once."""
    down, across = ceil(p.pixels, array.rows), ceil(p.filters, array.columns)
    skew = array.rows + array.columns - 2
    compute = down * across * (ceil(p.taps, p.lanes) * p.serial + skew) - 1
    outputs = p.pixels * p.filters
    common = {
        "dataflow": "output_stationary",
        "passes": np.ones_like(p.pixels),
        "compute_cycles": compute,
        "output_read_bits": np.zeros_like(outputs),
        "output_write_bits": outputs * array.output_bits,
        "weight_sram_bits": p.weights * down,
        "act_sram_bits": p.pixels * p.taps * p.act_bits * across,
        "output_sram_bits": outputs * array.accumulator_bits,
    }
    column = _tile(p.weights, p.filters, array.columns)
    row = _tile(p.inputs, p.pixels, array.rows)
    filters_outside = {  # a column tile of weights serves all pixels
        "weight_read_bits": _cut(p.weights, column, p.taps, array.sram["weight"], down),
        "act_read_bits": _cut(p.inputs, p.inputs, p.taps, array.sram["act"], across),
    }
    pixels_outside = {  # a row tile of activations serves all filters
        "weight_read_bits": _cut(p.weights, p.weights, p.taps, array.sram["weight"], down),
        "act_read_bits": _cut(p.inputs, row, p.taps, array.sram["act"], across),
    }
    return [common | filters_outside, common | pixels_outside]


def _cut(bits: np.ndarray, tile: np.ndarray, taps: np.ndarray, room: float, turns: np.ndarray) -> np.ndarray:
    """Bits of an operand that are read when its tile serves several turns and is cut along the taps.

    As many taps as `room` has space for stay there and are read once; the others are read again in every turn.
    """
    again = taps - np.minimum(taps, np.floor(room * taps / tile))
    read: np.ndarray = bits + np.ceil(bits * again * (turns - 1) / taps).astype(np.int64)
    return read


def _weight_stationary(p: Products, array: Array) -> list[Schedule]:
    """Taps on the rows, filters on the columns; pixels stream."""
    found = _stationary(p, p.pixels, p.filters, (p.inputs, "act"), (p.weights, "weight"), array)
    for schedule in found:
        schedule |= {"dataflow": "weight_stationary", "weight_sram_bits": p.weights * schedule["passes"]}
        schedule["act_sram_bits"] = p.pixels * p.taps * p.act_bits * ceil(p.filters, array.columns)
    return found


def _input_stationary(p: Products, array: Array) -> list[Schedule]:
    """Taps on the rows, pixels on the columns; filters stream: weight stationary with the operands exchanged."""
    found = _stationary(p, p.filters, p.pixels, (p.weights, "weight"), (p.inputs, "act"), array)
    for schedule in found:
        loaded = p.pixels * p.taps * p.act_bits * schedule["passes"]
        schedule |= {"dataflow": "input_stationary", "act_sram_bits": loaded}
        schedule["weight_sram_bits"] = p.weights * ceil(p.pixels, array.columns)
    return found


def _stationary(
    p: Products,
    streamed: np.ndarray,
    across: np.ndarray,
    moving: tuple[np.ndarray, str],
    held: tuple[np.ndarray, str],
    array: Array,
) -> list[Schedule]:
    """Schedules that keep one operand in the array, and accumulate partial sums over the folds of the taps.

    Either the streamed dimension goes through whole, and partial sums that outgrow their memory travel to DRAM and back; or it is cut
    into passes whose partial sums (and, in the third schedule, whose moving operand) fit, and each pass loads the held operand
    into the array again.

    Args:
        streamed, across: extents of the streamed dimension and of the one along the columns.
        moving, held: (bits, tensor) of the operand that streams and of the one that stays.
    """
    folds, columns = ceil(p.taps, array.rows * p.lanes), ceil(across, array.columns)
    outputs = streamed * across
    sum_bits = np.minimum(across, array.columns) * array.accumulator_bits  # partial sums of one streamed row
    moving_bits, moving_name = moving
    held_bits, held_name = held
    room = array.sram
    sums_fit = ceil(streamed, np.maximum(1, room["output"] // sum_bits).astype("int64"))
    both_fit = np.maximum(sums_fit, np.ceil(moving_bits / room[moving_name]).astype("int64"))
    both_fit = np.minimum(both_fit, streamed)
    reread = np.where(moving_bits <= room[moving_name], 1, columns)
    once = np.ones_like(streamed)
    spilled = np.where(streamed * sum_bits <= room["output"], 0, outputs * (folds - 1) * array.accumulator_bits)
    fits = ceil(moving_bits, both_fit) <= room[moving_name]
    skew = 2 * array.rows + array.columns - 2
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
                "output_write_bits": spill + outputs * array.output_bits,
                "output_sram_bits": outputs * (2 * folds - 1) * array.accumulator_bits,
            }
        )
    return schedules


SCHEDULES = {
    "weight_stationary": _weight_stationary,
    "output_stationary": _output_stationary,
    "input_stationary": _input_stationary,
}


def _tile(bits: np.ndarray, extent: np.ndarray, size: int) -> np.ndarray:
    """Bits of a tile of `size` of a dimension's `extent`."""
    tile: np.ndarray = bits * np.minimum(extent, size) / extent
    return tile


def ceil(a: np.ndarray, b: np.ndarray | int) -> np.ndarray:
    """Ceiling of the quotient of whole numbers."""
    return -(-a // b)
