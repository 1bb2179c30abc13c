"""Physical terms of this project's tiled kernels (`codegen.tiling`): what their loops do, by the micro-kernel that the layer gets.

Positions are taken a tile at a time: their patches are gathered (a copy per row of the kernel, in words, halves of them or bytes as
the channels allow; a tap at a time where four are gathered together; not at all where each column lies in the input in one piece)
and packed, then come the sums and steps of all outputs, whole tiles of them. How long these take in a micro-kernel is known
roughly (`MicroKernel.cycles`); the fit scales it, by bit-widths where that pays. Weights and scratch that a small cache does not hold
together are missed by every tile.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd

from mico_runner.codegen.micro.base import POSITIONS
from mico_runner.codegen.placement import CACHE, STACK
from mico_runner.codegen.policy import KernelPolicy
from mico_runner.codegen.tiling import MOST_FOUR
from mico_runner.quant.qgraph import QType

WORD_BYTES = 4
MOST_BITS = 8
# Which deviations a term's coefficient may have: as `terms.DEVIATIONS`.
DEVIATIONS = dict.fromkeys(("packing", "sums", "steps", "narrow_packing", "narrow_sums", "narrow_steps"), "p")


class Work(NamedTuple):
    """What a layer's micro-kernel makes of its matrix product: tiles, the positions in them all, and the parts of its estimated cycles."""

    narrow: bool
    tiles: int
    positions: int
    scratch: int
    turned: int  # fours of taps that become words where im2col columns are gathered together
    packing: float
    sums: float
    steps: float


def tiled_terms(
    table: pd.DataFrame, positions: np.ndarray, reduction: np.ndarray, policy: KernelPolicy
) -> pd.DataFrame:
    """The terms of convolutions or linear layers, float64 (rows, terms), non-negative.

    A layer that the tiled kernels do not take (few outputs, groups) is counted as if they did.

    Args:
        positions, reduction: N and K of the matrix product (`terms.sizes`), (rows,).
        policy: which has tiled kernels.
    """
    channels = table["in_channels"] // table["groups"]
    single = (table["kernel_h"] * table["kernel_w"] == 1).to_numpy()
    whole = single & (channels % WORD_BYTES == 0).to_numpy()  # as far as padding, which the table does not say, allows
    columns = zip(
        *(table[name].tolist() for name in ("weight_bits", "act_bits", "out_channels")),
        *(sizes.astype(int).tolist() for sizes in (reduction, positions)),
        single.tolist(),
        whole.tolist(),
        strict=True,
    )
    work = pd.DataFrame([_work(policy, *row) for row in columns], index=table.index)
    height = table["kernel_h"].to_numpy(float)
    run = (table["kernel_w"] * channels).to_numpy(int)  # bytes of a row of the kernel
    near = ~single & (work["positions"] == POSITIONS * work["tiles"])  # gathered together
    near &= (channels % 2 == 1) & (table["out_w"] >= POSITIONS) & (reduction <= MOST_FOUR)
    line = channels * (table["kernel_w"] + (POSITIONS - 1) * table["stride"])
    stored = table["out_channels"] * reduction * table["weight_bits"] / 8
    read = stored + work["scratch"] + STACK  # by each tile; two lines of a set evict each other
    terms = {
        "fixed": np.ones(len(table)),
        "channels": table["out_channels"],
        "inputs": table["batch"] * table["in_h"] * table["in_w"] * table["in_channels"],
        "outputs": work["positions"] * table["out_channels"],
        "weight_bytes": stored,
        "missed": work["tiles"] * np.minimum(read, 2 * np.maximum(0, read - CACHE)),
    }
    for prefix, chosen in (("", ~work["narrow"]), ("narrow_", work["narrow"])):
        parts = work[["positions", "packing", "sums", "steps"]].mul(chosen, axis=0)
        parts["packing"] *= ~near
        terms |= {f"{prefix}{name}": parts[name] for name in parts}
    patches = work["positions"] * (~whole & ~near)
    terms |= {
        "patches": patches,
        "runs": patches * height,
        "run_words": patches * height * run / WORD_BYTES * (channels % WORD_BYTES == 0),
        "run_halves": patches * height * run / 2 * (channels % WORD_BYTES == 2),
        "run_bytes": patches * height * run * (channels % 2),
    }
    broken = [_broken(*row) for row in zip(work["tiles"], table["out_w"].astype(int), strict=True)] * near
    rows = (work["tiles"] - broken) * near * height
    step = channels * table["stride"]
    alone = np.minimum(step, run)  # taps of a row that the output before does not read
    terms |= {
        "near_tiles": work["tiles"] * near,
        "near_packing": work["packing"] * near,
        "near_turned": work["turned"] * near,
        "near_broken": broken,
        "near_broken_runs": broken * height,
        "near_broken_bytes": broken * reduction,
        "near_rows": rows,
        "near_alone": rows * alone,
        "near_shared": rows * (run - alone) * (step > 1),
        "near_shared_one": rows * (run - alone) * (step == 1),
        "near_line_words": rows * np.ceil(line / WORD_BYTES),
    }
    return pd.DataFrame(terms, index=table.index, dtype=float)


@cache
def _work(
    policy: KernelPolicy,
    weight_bits: int,
    act_bits: int,
    outputs: int,
    taps: int,
    positions: int,
    single: bool,
    whole: bool,
) -> Work:
    activation, size = QType(act_bits, False, 1.0), (taps, outputs, positions)
    wider = range(weight_bits, MOST_BITS + 1)  # where no micro-kernel holds the bits
    found = (policy.micro_kernels(bits, activation, *size, single=single, whole=whole) for bits in wider)
    kernel, _ = next(filter(None, found))[0]
    tile, tiles, quads, _ = kernel.counts(taps, outputs, positions)
    turned = tiles * quads * (kernel.LAYOUT == "MICO_WORDS")
    parts = kernel.parts(taps, outputs, positions)
    scratch = WORD_BYTES * kernel.scratch_words(taps, outputs, positions)
    return Work(tile == 1, tiles, tiles * tile, scratch, turned, parts.packing, parts.sums, parts.steps)


@cache
def _broken(tiles: int, width: int) -> int:
    """How many tiles of four positions, one after the other in rows of `width`, go on in the next row."""
    return int(np.sum(POSITIONS * np.arange(tiles) % width > width - POSITIONS))
