"""Physical terms of this project's kernels on a host: what the loops of the kernel do that the layer gets.

Convolutions and linear layers, of weights of any bits, have a kernel for wide registers: sixteen outputs are a block, two blocks are a
pass over all positions, which are taken eight, four or one at a time. Weights of fewer than eight bits become bytes once a call, and an
input whose taps are no whole words is copied once. Layers of several groups have the plain kernel, which unpacks the weights of one output
and sums a row of taps at a time. No term is shared by the two.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from mico_runner.codegen.simd import BYTE, FOUR, LANES, PAIR

WIDTHS = range(1, 9)  # bits of weights
TILES = (8, 4)  # positions; where registers are of 32 bytes, four alone, and eight are two of these
FIRST_CACHE = 1 << 15  # bytes, of most processors: what is read once a call beyond it comes from further away
WIDENED = 64  # weights that become bytes together; what is left over goes eight by eight
VECTORS = (8, 16, 32, 64)  # taps that a compiler's loop may take at once; what is left over goes one by one
UNPACKED = 8  # weights that are unpacked together: whole bytes at any width
CHUNK = 32  # such groups that a compiler's loop takes at once where it can (gcc 12, AVX-512: 3 bits); the last one or more go one by one
# Which deviations a term's coefficient may have: as `terms.DEVIATIONS`.
DEVIATIONS = dict.fromkeys(("wide_widened", "wide_left_over"), "w")


def wide_terms(table: pd.DataFrame, positions: np.ndarray, reduction: np.ndarray) -> pd.DataFrame:
    """The terms of convolutions or linear layers, float64 (rows, terms), non-negative.

    Args:
        positions, reduction: N and K of the matrix product (`terms.sizes`), (rows,).
    """
    wide = (table["groups"] == 1).to_numpy()
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
    apart = (run % FOUR != 0) & (run != reduction)  # each row of taps is filled up to whole words
    steps = np.where(apart, height * np.ceil(run / FOUR), np.ceil(reduction / FOUR))  # of four taps
    inputs = (table["batch"] * table["in_h"] * table["in_w"] * table["in_channels"]).to_numpy(float)
    copied = apart | (reduction % FOUR != 0)
    most, fewer = TILES
    eights = positions // most
    fours = np.where(positions >= fewer, np.ceil((positions - most * eights) / fewer), 0.0)
    ones = np.where(positions < fewer, positions, 0.0)
    tiles, blocks = eights + fours, np.ceil(outputs / LANES)
    passes = np.ceil(blocks / PAIR)
    codes = outputs * reduction * (bits < BYTE)
    piece = np.where(apart, run, reduction)  # taps side by side
    parted = ((bits < BYTE) | apart) * (piece % FOUR != 0) * outputs * reduction / piece  # pieces that are filled up
    partial = outputs % LANES != 0  # the last block: its lanes are masked
    left_over = outputs // LANES * (LANES * reduction % WIDENED) + outputs % LANES * reduction % WIDENED
    return {
        "fixed": np.ones(len(table)),
        "passes": passes,
        "blocks": blocks,
        "outputs": outputs,
        "stored": positions * blocks,
        "stored_outputs": positions * outputs,
        "tiles": (tiles + ones) * passes,
        "rows": (tiles + ones) * passes * np.where(apart, height, 1),
        "sums_8": most * eights * blocks * steps,
        "sums_4": fewer * fours * blocks * steps,
        "sums_1": ones * blocks * steps,
        "rest_1": ones * blocks * (steps % FOUR),
        "read_8": most * eights * passes * steps,
        "read_4": fewer * fours * passes * steps,
        "words": (tiles + ones) * blocks * steps,
        "copied_rows": copied * table["in_h"].to_numpy(float),
        "copied_bytes": copied * inputs,
        "widened_blocks": blocks * (bits < BYTE),
        "widened": codes,
        "left_over": left_over * (bits < BYTE),
        "parted": parted,
        "parted_words": parted * (piece // FOUR),
        "moved_bytes": apart * outputs * reduction * (bits == BYTE),
        "partial": np.where(partial, tiles + ones, 0.0),
        "partial_stored": np.where(partial, positions, 0.0),
        "partial_words": np.where(partial, (tiles + ones) * steps, 0.0),
        "weight_bytes": outputs * reduction * bits / BYTE,
        "missed_bytes": np.maximum(0, outputs * reduction * bits / BYTE - FIRST_CACHE),
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
