"""A layer on the Verilog of an array: random whole numbers, their matrix products, and what the cost model says of its cycles."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
import torch

from mico_runner.accelerators.systolic import Systolic
from mico_runner.errors import UsageError
from mico_runner.hardware import Hardware
from mico_runner.verilog import simulation
from mico_runner.verilog.array import VerilogArray, array_of


@dataclass(frozen=True)
class Outcome:
    """Attributes: cycles: on the RTL; model: `compute_cycles` of the cost model; wrong: sums that are not the reference's, of `sums`."""

    array: VerilogArray
    cycles: int
    model: int
    wrong: int
    sums: int


def simulate(device: Hardware, row: pd.DataFrame, seed: int) -> Outcome:
    """One layer on the array, in the dataflow and the passes that the cost model chooses.

    Cycles are numbered from 0, as the model numbers them (SCALE-Sim does): the last one's number counts. Groups run one after another.
    Stalls for the DRAM are not simulated: the operands are at hand.

    Args:
        row: kernel table of one row.

    Raises:
        UsageError: a batch, or an array or a layer that is not written.
        StepSkipped, StepError: as `simulation.build`.
    """
    about = row.iloc[0]
    if about["batch"] != 1:
        raise UsageError(f"verilog: layer {about['layer']} has a batch of {about['batch']}; allowed: 1")
    trace = Systolic(device).simulate(row).iloc[0]
    array = array_of(device, trace["dataflow"])
    inputs, weights = _operands(about, np.random.default_rng(seed))
    expected = _reference(inputs, weights, about)
    cycles, wrong = 0, 0
    for acts, filters, sums in zip(_columns(inputs, about), _matrices(weights, about), expected, strict=True):
        busy, found = 0, np.zeros_like(sums)
        for part in _passes(trace, *sums.shape):
            done = simulation.run(array, acts[part[0]], filters[:, part[1]])
            found[part] = done.sums
            busy += done.busy
        cycles += busy - 1
        wrong += int((found != sums).sum())
    return Outcome(array, cycles, int(trace["compute_cycles"]), wrong, sum(sums.size for sums in expected))


def _operands(row: pd.Series, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (channels, height, width) and weights (filters, channels of a group, height, width), of all values of their bits."""

    def draw(bits: int, shape: tuple[int, ...]) -> np.ndarray:
        return rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), shape)

    inputs = draw(row["act_bits"], (row["in_channels"], row["in_h"], row["in_w"]))
    shape = (row["out_channels"], row["in_channels"] // row["groups"], row["kernel_h"], row["kernel_w"])
    return inputs, draw(row["weight_bits"], shape)


def _reference(inputs: np.ndarray, weights: np.ndarray, row: pd.Series) -> list[np.ndarray]:
    """The sums of each group, (pixels, filters), by torch in doubles: exact below 2^53."""
    given, kernel = (torch.from_numpy(each.astype(np.float64)) for each in (inputs[None], weights))
    found = torch.nn.functional.conv2d(given, kernel, stride=int(row["stride"]), groups=int(row["groups"]))[0]
    flat = found.numpy().astype(np.int64).reshape(int(row["groups"]), -1, found.shape[1] * found.shape[2])
    return [group.T for group in flat]


def _columns(inputs: np.ndarray, row: pd.Series) -> list[np.ndarray]:
    """The windows of each group, (pixels, taps)."""
    windows = np.lib.stride_tricks.sliding_window_view(inputs, (row["kernel_h"], row["kernel_w"]), axis=(1, 2))
    stride, groups = row["stride"], row["groups"]
    taken = windows[:, ::stride, ::stride]
    pixels = taken.shape[1] * taken.shape[2]
    return [part.transpose(1, 2, 0, 3, 4).reshape(pixels, -1) for part in np.split(taken, groups)]


def _matrices(weights: np.ndarray, row: pd.Series) -> list[np.ndarray]:
    """The weights of each group, (taps, filters)."""
    return [part.reshape(len(part), -1).T for part in np.split(weights, row["groups"])]


def _passes(trace: pd.Series, pixels: int, filters: int) -> list[tuple[slice, slice]]:
    """Pixels and filters of each pass; what streams is cut into parts that differ by one at most."""
    count = int(trace["passes"])
    streamed = filters if trace["dataflow"] == "input_stationary" else pixels
    edges = [streamed * number // count for number in range(count + 1)]
    parts = [slice(*pair) for pair in pairwise(edges)]
    if trace["dataflow"] == "input_stationary":
        return [(slice(None), part) for part in parts]
    return [(part, slice(None)) for part in parts]
