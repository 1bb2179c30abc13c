"""Engines on an FPGA: unrolls, buffers and bits of each, within the device's blocks, for the least latency of a network.

The idea is HAO's (Z. Dong, Y. Gao et al., FCCM 2021): layers of one kind share an engine whose unrolls and bits an integer programme
chooses, and a DSP does more products of fewer bits. The formulas are this project's; docs/design/fpga.md has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from mico_runner.codesign import knapsack
from mico_runner.hardware import Hardware
from mico_runner.kernel_table import is_depthwise

RESOURCES = ("dsp", "bram36", "lut")
NARROW = 4  # bits up to which a DSP does `dsp_products_4`


@dataclass(frozen=True)
class Choices:
    """What an engine may have.

    Attributes:
        channels, filters, pixels: products side by side along each.
        weight_kib: sizes of the buffer of weights, of which the engine has two, in KiB.
        bits: pairs of weight and activation bits.
    """

    channels: tuple[int, ...]
    filters: tuple[int, ...]
    pixels: tuple[int, ...]
    weight_kib: tuple[int, ...]
    bits: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Engine:
    """The options of one engine.

    Attributes:
        name: of the kind of layers that it runs: depthwise, pointwise (one tap, products of matrices) or window.
        layers: rows of the network's kernel table, int64.
        options: a row per option: channels, filters, pixels, weight_kib, weight_bits, act_bits.
        cycles: (options,) of all its layers, one after another.
        use: (options, resources) blocks of `RESOURCES`.
        noise: (options,) quantisation noise of all its layers.
    """

    name: str
    layers: np.ndarray
    options: pd.DataFrame
    cycles: np.ndarray
    use: np.ndarray
    noise: np.ndarray


def engine_of(table: pd.DataFrame) -> np.ndarray:
    """The kind of engine that runs each row of a kernel table."""
    taps = table["kernel_h"] * table["kernel_w"]
    return np.where(is_depthwise(table), "depthwise", np.where(taps == 1, "pointwise", "window"))


def engines(
    table: pd.DataFrame, device: Hardware, choices: Choices, noise: dict[tuple[int, int], float]
) -> list[Engine]:
    """The engines that a network needs, with all their options.

    Args:
        table: kernel table of its layers; their bits are not read.
        noise: of one layer at each pair of bits.
    """
    kinds, found = engine_of(table), []
    for name in sorted(set(kinds)):
        rows = np.flatnonzero(kinds == name)
        filters = (1,) if name == "depthwise" else choices.filters
        grid = product(choices.channels, filters, choices.pixels, choices.weight_kib, choices.bits)
        values = np.array([(c, f, p, k, *pair) for c, f, p, k, pair in grid], dtype=np.int64)
        options = pd.DataFrame(
            values, columns=["channels", "filters", "pixels", "weight_kib", "weight_bits", "act_bits"]
        )
        layers = table.iloc[rows]
        noises = np.array([noise[pair] for pair in choices.bits])[np.arange(len(values)) % len(choices.bits)]
        cycles = np.sum([_cycles(layer, options, device) for layer in layers.itertuples()], axis=0)
        found.append(Engine(name, rows, options, cycles, _use(layers, options, device), noises * len(rows)))
    return found


def solve(found: list[Engine], device: Hardware, noise: float | None = None) -> knapsack.Solution | None:
    """The option of each engine with the least cycles in all, within the device's blocks and the noise; None: there is none."""
    budgets = [device.value(name) for name in RESOURCES]
    if noise is None:
        return knapsack.solve([knapsack.Group(each.cycles, each.use) for each in found], budgets)
    groups = [knapsack.Group(each.cycles, np.column_stack([each.use, each.noise])) for each in found]
    return knapsack.solve(groups, [*budgets, noise])


def _cycles(layer: object, options: pd.DataFrame, device: Hardware) -> np.ndarray:
    """Cycles of one layer under every option: the longer one of computing and moving, which overlap."""
    get = {name: int(getattr(layer, name)) for name in _SIZES}
    groups = get["groups"]
    channels, filters = get["in_channels"] // groups, get["out_channels"] // groups
    taps, pixels = get["kernel_h"] * get["kernel_w"], get["batch"] * get["out_h"] * get["out_w"]
    option = {name: options[name].to_numpy() for name in options}
    if channels == filters == 1:  # depthwise: groups lie side by side where others have channels
        inner = _ceil(groups, option["channels"])
    else:
        inner = groups * _ceil(channels, option["channels"]) * _ceil(filters, option["filters"])
    compute = inner * taps * _ceil(pixels, option["pixels"])
    weights = get["out_channels"] * channels * taps * option["weight_bits"]
    inputs = get["batch"] * get["in_channels"] * get["in_h"] * get["in_w"] * option["act_bits"]
    outputs = pixels * get["out_channels"] * option["act_bits"]
    parts = _ceil(weights, option["weight_kib"] * 8192)  # inputs are read again for each buffer full of weights
    moving = np.ceil((weights + inputs * parts + outputs) / device.value("dram_bits_per_cycle"))
    cycles: np.ndarray = np.maximum(compute, moving).astype(float)
    return cycles


_SIZES = ("batch", "in_channels", "out_channels", "in_h", "in_w", "kernel_h", "kernel_w", "groups", "out_h", "out_w")


def _use(layers: pd.DataFrame, options: pd.DataFrame, device: Hardware) -> np.ndarray:
    """Blocks that an engine takes under every option, float64 (options, resources)."""
    option = {name: options[name].to_numpy() for name in options}
    weight_bits, act_bits = option["weight_bits"], option["act_bits"]
    products = option["channels"] * option["filters"] * option["pixels"]
    narrow = np.maximum(weight_bits, act_bits) <= NARROW
    each = np.where(narrow, device.value("dsp_products_4"), device.value("dsp_products_8")).astype(np.int64)
    port, bits = int(device.value("bram36_port_bits")), int(device.value("bram36_bits"))
    # Rows of the input that a window spans, and the one being filled.
    rows = ((layers["kernel_h"] + 1) * layers["in_w"] * layers["in_channels"]).max()
    weights = np.maximum(
        _ceil(option["channels"] * option["filters"] * weight_bits, port), _ceil(2 * option["weight_kib"] * 8192, bits)
    )
    inputs = np.maximum(_ceil(option["channels"] * option["pixels"] * act_bits, port), _ceil(rows * act_bits, bits))
    across = option["filters"] * option["pixels"] * np.where(layers["groups"].max() > 1, option["channels"], 1)
    outputs = _ceil(across * act_bits, port)
    adders = products * (weight_bits + act_bits) + across * device.value("accumulator_bits")
    lut = device.value("engine_lut") + adders
    return np.column_stack([_ceil(products, each), weights + inputs + outputs, lut]).astype(float)


def _ceil(a: np.ndarray | int, b: np.ndarray | int) -> np.ndarray:
    quotient: np.ndarray = -(-np.asarray(a) // b)
    return quotient
