"""Physical terms of this project's kernels on a host: what the loops of the kernel do that the layer gets at its bits.

They are those of the kernels that the shipped profile was measured with. There weights of 1, 2, 4 and 8 bits had a kernel for wide
registers: sixteen outputs are a block, positions are taken eight, four or one at a time, and patches are gathered unless rows of taps are
whole words of weights. All others had the plain kernels, which unpack the weights of one output and sum a row of taps at a time: tens of
times slower. No term is shared by the two.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from mico_runner.codegen.packing import WORD
from mico_runner.codegen.simd import BYTE, LANES

WIDTHS = range(1, 9)  # bits of weights
TILES = (8, 4)  # positions; where registers are of 32 bytes, four alone, and eight are two of these
VECTORS = (8, 16, 32, 64)  # taps that a compiler's loop may take at once; what is left over goes one by one
UNPACKED = 8  # weights that are unpacked together: whole bytes at any width
CHUNK = 32  # such groups that a compiler's loop takes at once where it can (gcc 12, AVX-512: 3 bits); the last one or more go one by one
# Which deviations a term's coefficient may have: as `terms.DEVIATIONS`.
DEVIATIONS = dict.fromkeys(("wide_sums_8", "wide_sums_4", "wide_sums_1", "wide_unpacked", "wide_words"), "w")


def takes(bits: int) -> bool:
    """Whether weights of these bits had the kernel for wide registers: whole numbers of them fill a byte."""
    return BYTE % bits == 0


def wide_terms(table: pd.DataFrame, positions: np.ndarray, reduction: np.ndarray) -> pd.DataFrame:
    """The terms of convolutions or linear layers, float64 (rows, terms), non-negative.

    Args:
        positions, reduction: N and K of the matrix product (`terms.sizes`), (rows,).
    """
    wide = (table["weight_bits"].map(takes) & (table["groups"] == 1)).to_numpy()
    parts = {"wide": (_wide, wide), "plain": (_plain, ~wide)}
    terms = {
        f"{prefix}_{name}": np.where(of, values, 0.0)
        for prefix, (make, of) in parts.items()
        for name, values in make(table, positions, reduction).items()
    }
    return pd.DataFrame(terms, index=table.index, dtype=float)


def _wide(table: pd.DataFrame, positions: np.ndarray, reduction: np.ndarray) -> dict[str, np.ndarray]:
    outputs, height, bits = (table[name].to_numpy(float) for name in ("out_channels", "kernel_h", "weight_bits"))
    run = (table["kernel_w"] * table["in_channels"]).to_numpy(float)  # taps of a row of the kernel
    taps = WORD / bits  # of a word
    gathered = positions * (run % taps != 0)
    words = np.ceil(reduction / taps)
    steps = words * taps / 4  # of four taps
    most, fewer = TILES
    eights = positions // most
    fours = np.where(positions >= fewer, np.ceil((positions - most * eights) / fewer), 0.0)
    ones = np.where(positions < fewer, positions, 0.0)
    tiles, blocks = eights + fours, np.ceil(outputs / LANES)
    passes = blocks - outputs // (2 * LANES)  # two whole blocks together
    return {
        "fixed": np.ones(len(table)),
        "outputs": positions * outputs,
        "positions": positions,
        "tiles": tiles,
        "passes": (tiles + ones) * passes,
        "stored": positions * blocks,
        "words": (tiles + ones) * blocks * words,
        "unpacked": tiles * blocks * steps,
        "sums_8": most * eights * blocks * steps,
        "sums_4": fewer * fours * blocks * steps,
        "sums_1": ones * blocks * steps,
        "read_8": most * eights * passes * steps,
        "read_4": fewer * fours * passes * steps,
        "rows": (tiles + ones) * passes * np.where(gathered > 0, 1, height),
        "gathered": gathered,
        "runs": gathered * height,
        "gathered_bytes": gathered * reduction,
        "gathered_pieces": gathered * height * np.ceil(run / 16),
        "weight_bytes": outputs * reduction * bits / 8,
    }


def _plain(table: pd.DataFrame, positions: np.ndarray, reduction: np.ndarray) -> dict[str, np.ndarray]:
    outputs, height, bits = (table[name].to_numpy(float) for name in ("out_channels", "kernel_h", "weight_bits"))
    depth = (table["in_channels"] // table["groups"]).to_numpy(float)
    together = (table["groups"] == 1).to_numpy()
    run = np.where(together, table["kernel_w"], 1) * depth  # taps that lie side by side
    runs = positions * outputs * height * np.where(together, 1, table["kernel_w"])
    terms = {
        "fixed": np.ones(len(table)),
        "channels": outputs,
        "outputs": positions * outputs,
        "runs": runs,
    }
    groups = reduction // UNPACKED
    chunks = np.maximum(0, groups - 1) // CHUNK
    for width in WIDTHS:  # each has a loop of its own, which compilers vectorise or do not
        rows = outputs * (bits == width)
        terms[f"chunks_{width}"] = rows * chunks
        terms[f"groups_{width}"] = rows * (groups - CHUNK * chunks)
        terms[f"rest_of_group_{width}"] = rows * (reduction % UNPACKED)
    for size in VECTORS:
        terms[f"vectors_{size}"] = runs * (run // size)
        terms[f"rest_{size}"] = runs * (run % size)
        terms[f"any_{size}"] = runs * (run >= size)
    return terms
