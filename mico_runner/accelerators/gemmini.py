"""Gemmini as built: cycles of convolutions and matrix products tiled by hand, from what its queues and its memory system do.

A tile is loaded by rows into the scratchpad, multiplied on an array of D x D elements, and stored; the three work side by side, and
starting a tile takes the processor its time. What is loaded comes out of the cache that stands before the DRAM, if it is still there.
The constants are fitted to RTL runs (`reproductions.gemmini_rtl`); docs/results/accelerators.md says how well they explain them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import pandas as pd

from mico_runner.accelerators.timeloop_mappings import Level

NARROWEST = 4  # elements of the smallest array that was built
_UNIT = 16  # elements in which the tiles of matrix products are stated, whatever the array
_ISSUE = 4  # cycles that the shortest computation takes: two instructions, however few rows it has
_PAGE = 4096  # bytes of a page of memory: a row in another one is translated anew
_SUM = 16  # results that leave the accumulators together
_SMOOTH = 4.0  # exponent of the smooth maximum of what works side by side
_TILED = "KCPQRS"
CONSTANTS = ("product_tile", "conv_tile", "byte", "row", "missed_byte", "page", "store", "start")
FIRST = (128.0, 256.0, 0.1, 1.0, 0.1, 4.0, 1.0, 1000.0)  # where a fit begins, cycles


@dataclass(frozen=True)
class Runs:
    """Tiled runs; every value is float64 (runs,).

    Attributes:
        array: elements along each side of the array.
        product: whether it runs as a matrix product, else as a convolution.
        tile, turns: extent of a tile along each dimension of the layer, and how many there are; weights and outputs with K, inputs
            with C channels, P x Q outputs, R x S taps.
        whole: extents of the layer as it is run.
        strides: of P and Q.
        orders: for each run the dimensions of the loops over tiles, outermost first.
    """

    array: np.ndarray
    product: np.ndarray
    tile: Mapping[str, np.ndarray]
    turns: Mapping[str, np.ndarray]
    whole: Mapping[str, np.ndarray]
    strides: Mapping[str, np.ndarray]
    orders: Sequence[Sequence[str]]


def tiled(
    mappings: Sequence[tuple[Level, ...]], layers: Mapping[str, np.ndarray], strides: Mapping[str, np.ndarray]
) -> Runs:
    """How a mapping in Timeloop's form is run.

    The array is the smallest one, of a power of two, that holds the widest loop side by side. The loops in DRAM walk over tiles that
    hold all others. A layer with one row of outputs and one tap is a matrix product, whose tiles are rounded down to units of 16 and
    then counted in arrays; loops over them cover the layer in whole tiles. The convolution's code has square outputs, P x P, and one
    more along each axis where the kernel is 2 x 2.

    Args:
        mappings: as `timeloop_mappings.parse` reads them.
        layers: extents K, C, P, Q, R, S, float64 (runs,).
        strides: of P and Q.
    """
    widest = [max([b for _, _, loops in m for (_, beside), b in loops.items() if beside], default=1) for m in mappings]
    array = np.maximum(NARROWEST, 2.0 ** np.ceil(np.log2(widest)))
    tile = {
        d: np.array(
            [float(prod(b for _, _, loops in m[1:] for (x, _), b in loops.items() if x == d)) for m in mappings]
        )
        for d in _TILED
    }
    product = (layers["R"] == 1) & (layers["S"] == 1) & (layers["Q"] == 1)
    more = ~product & (layers["R"] == 2)
    side = layers["P"] + more
    whole = {**layers, "P": side, "Q": np.where(product, layers["Q"], side)}
    turns = {d: np.ceil(whole[d] / tile[d]) for d in _TILED}
    for d in "PQ":  # the last tile is cut
        tile[d] = whole[d] / turns[d]
    for d in "KCP":
        arrays = np.maximum(1, np.floor(np.where(product, tile[d], 1) / _UNIT)) * array
        turns[d] = np.where(product, np.ceil(whole[d] / arrays), turns[d])
        tile[d] = np.where(product, np.minimum(whole[d], arrays), tile[d])
    orders = [[d for d, beside in m[0][2] if not beside] for m in mappings]
    return Runs(array, product, tile, turns, whole, strides, orders)


def terms(runs: Runs, cache_bytes: float) -> pd.DataFrame:
    """What each of `CONSTANTS` is paid for, a row per run, and `compute`, cycles of the array.

    Args:
        cache_bytes: of the cache that the operands come from.
    """
    tile, array = runs.tile, runs.array
    tiles = np.array([runs.turns[d] for d in _TILED]).prod(axis=0)
    conv = ~runs.product
    weights, inputs, outputs = (tiles * size for size in _sizes(tile, runs.strides))
    weight_rows, input_rows = weights / tile["K"], inputs / tile["C"]
    across, down = np.ceil(tile["K"] / array), np.ceil(tile["C"] / array)
    full = np.floor(tile["P"] / array)
    rest = tile["P"] - full * array
    rows = full * array + np.where(rest > 0, np.maximum(_ISSUE, rest), 0)
    wide, high = ((tile[d] - 1) * runs.strides[d] + tile[taps] for d, taps in (("P", "R"), ("Q", "S")))
    weight_pages = tile["R"] * tile["S"] * tile["C"] * np.minimum(runs.whole["K"], _PAGE) / _PAGE
    input_pages = np.where(conv, high, 1) * np.maximum(1, np.where(conv, wide, tile["P"]) * runs.whole["C"] / _PAGE)
    return pd.DataFrame(
        {
            "product_tile": np.where(conv, 0, tiles),
            "conv_tile": np.where(conv, tiles, 0),
            "byte": weights + inputs,
            "row": np.where(conv, weight_rows + input_rows, 0),
            "missed_byte": _missed(runs, cache_bytes),
            "page": tiles * (np.maximum(1, weight_pages) + input_pages),
            "store": outputs / tile["K"] * np.ceil(tile["K"] / _SUM),
            "start": np.where(conv, 0.0, 1.0),
            "compute": tiles * across * down * tile["R"] * tile["S"] * tile["Q"] * rows,
        }
    )


def cycles(terms_: pd.DataFrame, constants: Mapping[str, float]) -> np.ndarray:
    """Cycles of each run, float64: the smooth maximum of computing, loading, storing and starting tiles."""
    cost = {name: terms_[name].to_numpy() * constants[name] for name in CONSTANTS}
    beside = (
        terms_["compute"].to_numpy(),
        cost["byte"] + cost["row"] + cost["missed_byte"] + cost["page"],
        cost["store"],
        cost["product_tile"] + cost["conv_tile"],
    )
    longest: np.ndarray = np.sum([part**_SMOOTH for part in beside], axis=0) ** (1 / _SMOOTH)
    return longest + cost["start"]


def _sizes(tile: Mapping[str, np.ndarray], strides: Mapping[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    """Bytes of the weights, inputs and outputs of a tile, one each."""
    window = ((tile[d] - 1) * strides[d] + tile[taps] for d, taps in (("P", "R"), ("Q", "S")))
    weights = tile["K"] * tile["C"] * tile["R"] * tile["S"]
    return weights, prod(window) * tile["C"], tile["P"] * tile["Q"] * tile["K"]


def _missed(runs: Runs, cache_bytes: float) -> np.ndarray:
    """Bytes of weights and inputs that come from DRAM.

    From the innermost loop outwards, as long as all that the loops touch fits the cache, it is loaded once; every turn of a loop further
    out loads it again. What fits whole is there from the beginning: the processor has just written it.
    """
    everything = np.array(_sizes(runs.whole, runs.strides))
    found = np.zeros(len(runs.array))
    for run, order in enumerate(runs.orders):
        weights, _, _ = everything[:, run]
        extent = {d: runs.tile[d][run] for d in _TILED}
        strides = {d: values[run] for d, values in runs.strides.items()}
        turns = {d: runs.turns[d][run] for d in _TILED}
        outwards = [d for d in reversed([*(d for d in _TILED if d not in order), *order]) if turns.get(d, 1) > 1]
        held = _sizes(extent, strides)
        for at, d in enumerate(outwards):
            extent[d] *= turns[d]
            more = _sizes(extent, strides)
            if sum(more) > cache_bytes:
                again = prod(turns[rest] for rest in outwards[at:])
                break
            held = more
        else:
            again = 1
        found[run] = again * (
            (held[0] if weights > cache_bytes else 0) + (held[1] if everything[:, run].sum() > cache_bytes else 0)
        )
    return found
