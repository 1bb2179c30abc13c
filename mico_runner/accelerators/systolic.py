"""Systolic arrays in the style of SCALE-Sim, Gemmini and the TPU: cycles, DRAM traffic and energy at mixed precision.

A layer is a matrix product of T pixels x D taps x M filters, cut into folds of the array's size. Three dataflows are known
(`systolic_schedules`); of those that the device profile allows, the fastest counts for each layer, or the one of least energy. Grouped
convolutions run one group after another.

Source of the compute cycles: A. Samajdar et al., "A systematic methodology for characterizing scalability of DNN accelerators
using SCALE-Sim", ISPASS 2020, as SCALE-Sim 3.0.0 counts them. The DRAM schedules are this project's.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from mico_runner.accelerators import register
from mico_runner.accelerators.base import Accelerator, refuse_others
from mico_runner.accelerators.systolic_schedules import SCHEDULES, TENSORS, Array, Products
from mico_runner.errors import UsageError
from mico_runner.hardware import Hardware


@register(
    "systolic",
    units=("rows", "columns"),
    parameters={
        "rows": "whole",
        "columns": "whole",
        "mac_bits": "whole",
        "brick_bits": "whole",
        "serial_bits": "whole",
        "accumulator_bits": "whole",
        "weight_stationary": "flag",
        "output_stationary": "flag",
        "input_stationary": "flag",
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
    optional={"least_energy": "flag", "least_edp": "flag"},
    rules=(
        ("least_edp", "least_energy + least_edp < 2", "allowed: 0, because least_energy is 1: one of the two"),
        (
            "",
            "weight_stationary + output_stationary + input_stationary > 0",
            "no dataflow; allowed: at least one of weight_stationary, output_stationary, input_stationary is 1",
        ),
        ("rows", "rows * columns >= 2", "allowed: at least two units in the array"),
        ("brick_bits", "mac_bits % brick_bits == 0", "allowed: a divisor of mac_bits, which is {mac_bits:g}"),
        ("serial_bits", "mac_bits % serial_bits == 0", "allowed: a divisor of mac_bits, which is {mac_bits:g}"),
        ("accumulator_bits", "accumulator_bits >= mac_bits", "allowed: at least mac_bits, which is {mac_bits:g}"),
        (
            "accumulator_bits",
            "accumulator_bits >= output_bits",
            "allowed: at least output_bits, which is {output_bits:g}",
        ),
        (
            "serial_bits",
            "brick_bits >= mac_bits or serial_bits >= mac_bits",
            "allowed: mac_bits, because brick_bits splits the units: they are bit-serial or fused, not both",
        ),
    ),
    tiles={
        "weight": "rows * columns * mac_bits",
        "act": "rows * columns * mac_bits",
        "output": "max(rows, columns) * accumulator_bits",
    },
)
class Systolic(Accelerator):
    """Systolic arrays; the best dataflow and DRAM schedule of each layer, by closed forms."""

    def __init__(self, hardware: Hardware | Array) -> None:
        self.array = hardware if isinstance(hardware, Array) else _array(hardware)

    def simulate(self, table: pd.DataFrame) -> pd.DataFrame:
        """The best dataflow and DRAM schedule of each row of a kernel table, with what its cycles and energy are made of.

        Args:
            table: kernel table of conv2d and linear rows. The batch is the table's own.

        Returns:
            As `Accelerator.simulate`, counts are whole numbers:
            cycles = compute_cycles + stall_cycles;
            dram_bits has the reads and writes of partial sums that outgrow their memory, too;
            sram_bits = weight_sram_bits + act_sram_bits + output_sram_bits + dram_bits: the array's accesses, and each bit of
            DRAM traffic once more;
            energy_pj = mac_pj + sram_pj + dram_pj;
            dataflow, passes: the choice, and the parts that the streamed dimension is cut into so that tiles fit.

        Raises:
            UsageError: a kind of kernel or a bit-width that the array does not run.
        """
        array = self.array
        products, groups = _products(table, array)
        ways = [(products, groups)]
        if (table["batch"] > 1).any():  # the samples together, and one after another
            ways.append((_products(table.assign(batch=1), array)[0], groups * table["batch"].to_numpy("int64")))
        candidates = [
            c | {"times": times} for p, times in ways for name in array.dataflows for c in SCHEDULES[name](p, array)
        ]
        stacked = {key: np.stack([c[key] for c in candidates]) for key in candidates[0] if key != "dataflow"}
        times = stacked["times"]
        compute = times * stacked["compute_cycles"]
        reads = sum(stacked[f"{tensor}_read_bits"] for tensor in TENSORS)
        dram = times * (reads + stacked["output_write_bits"])
        stall = np.maximum(0, np.ceil(dram / array.bandwidth) - compute)
        # The unit's energy, for the share of it and the cycles that one product takes.
        per_mac = array.mac_pj * products.serial * array.serial_bits / array.mac_bits / products.lanes
        mac_pj = table["macs"].to_numpy() * per_mac
        sram = times * sum(stacked[f"{tensor}_sram_bits"] for tensor in TENSORS) + dram
        energy = mac_pj + sram * array.sram_pj_per_bit + dram * array.dram_pj_per_bit
        first, second = {
            "cycles": (compute + stall, dram),
            "energy": (energy, compute + stall),
            "edp": (energy * (compute + stall), energy),
        }[array.objective]
        # The last key of lexsort is the first that counts; the order of the schedules decides among equals.
        best = np.lexsort((np.broadcast_to(np.arange(len(candidates))[:, None], dram.shape), second, first), axis=0)[0]

        def chosen(values: np.ndarray) -> np.ndarray:
            taken: np.ndarray = np.take_along_axis(values, best[None], axis=0)[0]
            return taken

        counts = {"cycles": chosen(compute + stall), "compute_cycles": chosen(compute), "stall_cycles": chosen(stall)}
        counts["dram_bits"] = chosen(dram)
        moved = ["weight_read_bits", "act_read_bits", "output_read_bits", "output_write_bits"]
        inner = [f"{tensor}_sram_bits" for tensor in TENSORS]
        counts |= {name: chosen(times * stacked[name]) for name in [*moved, *inner]}
        counts["sram_bits"] = sum(counts[name] for name in inner) + counts["dram_bits"]
        trace = pd.DataFrame({name: values.astype("int64") for name, values in counts.items()}, index=table.index)
        macs = table["macs"].to_numpy()
        trace["mac_pj"] = mac_pj
        trace["sram_pj"] = trace["sram_bits"] * array.sram_pj_per_bit
        trace["dram_pj"] = trace["dram_bits"] * array.dram_pj_per_bit
        trace["energy_pj"] = trace["mac_pj"] + trace["sram_pj"] + trace["dram_pj"]
        peak = array.rows * array.columns * products.lanes / products.serial
        trace["utilisation"] = macs / (trace["cycles"].to_numpy() * peak)
        names = np.array([c["dataflow"] for c in candidates])
        return trace.assign(dataflow=names[best], passes=chosen(stacked["passes"]).astype("int64"))


def _array(hardware: Hardware) -> Array:
    if hardware.kind != "systolic":
        raise UsageError(
            f"hardware {hardware.name!r} is of kind {hardware.kind!r}; a systolic array needs kind 'systolic'"
        )
    value = hardware.value
    return Array(
        rows=int(value("rows")),
        columns=int(value("columns")),
        mac_bits=int(value("mac_bits")),
        brick_bits=int(value("brick_bits")),
        serial_bits=int(value("serial_bits")),
        output_bits=int(value("output_bits")),
        accumulator_bits=int(value("accumulator_bits")),
        dataflows=tuple(name for name in SCHEDULES if value(name)),
        sram={tensor: 8 * value("usable_fraction") * value(f"{tensor}_sram_bytes") for tensor in TENSORS},
        bandwidth=value("dram_bits_per_cycle"),
        mac_pj=value("mac_pj"),
        sram_pj_per_bit=value("sram_pj_per_bit"),
        dram_pj_per_bit=value("dram_pj_per_bit"),
        objective=next((name for name in ("energy", "edp") if _flag(hardware, f"least_{name}")), "cycles"),
    )


def _flag(hardware: Hardware, name: str) -> bool:
    """A figure that a profile may leave out."""
    return name in hardware.parameters and bool(hardware.value(name))


def _products(table: pd.DataFrame, array: Array) -> tuple[Products, np.ndarray]:
    """The table's rows as matrix products of one group, and the number of groups."""
    refuse_others(table, array.mac_bits)
    column = {name: table[name].to_numpy("int64") for name in table.columns if table[name].dtype.kind == "i"}
    groups, act, weight = column["groups"], column["act_bits"], column["weight_bits"]
    channels, filters = column["in_channels"] // groups, column["out_channels"] // groups
    pixels = column["batch"] * column["out_h"] * column["out_w"]
    taps = channels * column["kernel_h"] * column["kernel_w"]
    # Where the stride skips pixels, only those that some window holds are read.
    inputs = np.minimum(column["batch"] * channels * column["in_h"] * column["in_w"], pixels * taps)
    lanes, serial = array.lanes(act, weight), array.serial_cycles(act)
    return Products(pixels, taps, filters, act, weight, inputs * act, taps * filters * weight, lanes, serial), groups
