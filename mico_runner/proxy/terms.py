"""Physical terms: what a kernel's loops, its memory traffic and its fixed costs are proportional to.

Linear layers and convolutions are one matrix product here, N x M x K: N rows (batch times output positions), M outputs (channels),
K reduction (input channels of the group times kernel taps). Pooling and add have no reduction over channels: N is the number of outputs,
K the taps of the window, M is 1.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from mico_runner.codegen.policy import KernelPolicy
from mico_runner.kernel_table import DENSE, WEIGHTED
from mico_runner.ops.families import FAMILIES
from mico_runner.proxy import tiled_terms as tiled_kernels
from mico_runner.proxy import wide_terms as wide_kernels
from mico_runner.proxy.tiled_terms import tiled_terms
from mico_runner.proxy.wide_terms import wide_terms

WORD = 32  # elements to which MiCo's kernels pad rows, and a common width of arrays and vectors
CACHE_BYTES = 4096  # where float inputs and outputs begin to miss the smallest first-level caches
FLOAT_BYTES = 4
SUM_SIZE = 0.9  # of the largest sum of products: not all weights of a kernel are the most negative
OTHERS = KernelPolicy()  # any kernels
BRICK_BITS = (
    1024  # a row of 16 units of 8 x 8 bits, as fusing multipliers have: K * act_bits * weight_bits / 1024 steps
)

# Which deviations a term's coefficient may have: "a" by activation bits, "w" by weight bits, "p" by the pair.
DEVIATIONS = {
    "fixed": "a",
    "rows": "a",
    "outputs": "p",
    "patches": "a",
    "inputs": "a",
    "weights": "w",
    "macs": "p",
    "padded_macs": "p",
    "row_words": "a",
    "channel_groups": "w",
    **tiled_kernels.DEVIATIONS,
    **wide_kernels.DEVIATIONS,
}
BASIC = ("fixed", "rows", "outputs", "patches", "inputs", "channels", "weights", "macs")  # what any kernel does
BAREST = ("fixed", "outputs", "inputs", "macs")
LEVELS = ("s", "a", "w", "p")  # shared by all bit-widths, then the deviations


def sizes(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """N, M, K of the matrix product and the number of input elements, float64 (rows,) each."""

    def column(name: str) -> np.ndarray:  # arrays: pandas takes longer to align its columns than to multiply them
        return table[name].to_numpy(float)

    positions = column("batch") * column("out_h") * column("out_w")
    inputs = column("batch") * column("in_h") * column("in_w") * column("in_channels")
    taps = column("kernel_h") * column("kernel_w")
    channels = column("out_channels")
    weighted = table["kind"].isin(WEIGHTED).to_numpy()
    reduction = column("in_channels") // column("groups") * taps
    ones = np.ones(len(table))
    return (
        np.where(weighted, positions, positions * channels),
        np.where(weighted, channels, ones),
        np.where(weighted, reduction, taps),
        inputs,
    )


def physical_terms(table: pd.DataFrame, runs: bool = False, policy: KernelPolicy = OTHERS) -> pd.DataFrame:
    """The terms of each row, float64, non-negative; a latency is a non-negative combination of them.

    Args:
        runs: also a term for patches that are gathered a row of the kernel at a time, as some convolutions do.
        policy: of this project's kernels. Where the rows are convolutions or linear layers, there are terms of its tiled ones or of
            those for wide registers instead; with tiled ones further terms where windows have a size that is unrolled.
    """
    N, M, K, inputs = sizes(table)
    if policy.tiles and table["kind"].isin(DENSE).all():
        return tiled_terms(table, N, K, policy)
    if policy.simd and table["kind"].isin(DENSE).all():
        return wide_terms(table, N, K)
    ones = np.ones(len(table))
    if (table["kind"] == "depthwise").all():
        return _depthwise_terms(table)
    terms = {
        "fixed": ones,  # call overhead
        "rows": N,  # loop overhead per output position
        "outputs": N * M,  # requantise, store
        "patches": N * K,  # im2col
        "inputs": inputs,  # quantise, load
        "macs": N * M * K,
        "short_loops": N * M * np.log2(K + 1),  # short reductions do not amortise what each loop costs at its ends
        "input_misses": np.maximum(0, FLOAT_BYTES * inputs - CACHE_BYTES),
        "output_misses": np.maximum(0, FLOAT_BYTES * N * M - CACHE_BYTES),
    }
    if not table["kind"].isin(WEIGHTED).all():
        span = (table["kernel_h"] * table["in_w"] * table["in_channels"]).to_numpy(
            float
        )  # bytes under a row of outputs
        terms |= {
            "missed": N
            * K
            * np.maximum(0, 1 - CACHE_BYTES / span),  # read anew for every channel where a small cache lacks room
            "windows": (table["batch"] * table["out_h"] * table["out_w"]).to_numpy(float),  # loop overhead per position
            "window_rows": N * table["kernel_h"].to_numpy(float),  # and per row of taps
        }
        unrolled = FAMILIES[table["kind"].iloc[0]].unrolled if table["kind"].nunique() == 1 else 0
        if policy.tiles and unrolled:  # windows of this size have a kernel without loops over taps
            loops = ~((table["kernel_h"] == unrolled) & (table["kernel_w"] == unrolled)).to_numpy()
            terms |= {f"loop_{name}": terms[name] * loops for name in ("outputs", "macs", "window_rows")}
        return pd.DataFrame(terms, index=table.index)
    act, weight = table["act_bits"].to_numpy(float), table["weight_bits"].to_numpy(float)
    act_brick, weight_brick = _brick(act), _brick(weight)
    products = act_brick * weight_brick
    passes = np.ceil(K * products / BRICK_BITS)  # of a row of fused units over the reduction
    terms |= {
        "channels": M,
        "weights": M * K,
        "padded_macs": N * M * np.ceil(K / WORD),
        "row_words": N * np.ceil(K / WORD),
        "patches_per_tile": N * K * np.ceil(M / WORD),
        "tiles": N * np.ceil(M / WORD),
        "weight_bits": M * K * weight,
        "input_bits": inputs * act,
        "patch_bits": N * K * act,
        "patch_bits_per_tile": N * K * act * np.ceil(M / WORD),
        "mac_act_bits": N * M * K * act,
        "mac_weight_bits": N * M * K * weight,
        "mac_wider_bits": N * M * K * np.maximum(act_brick, weight_brick),
        "mac_bit_products": N * M * K * products,
        "array_steps": N * np.ceil(M / WORD) * passes,
        "padded_weight_bits": M * passes * BRICK_BITS / products * weight,  # stored in whole passes
    }
    if runs:
        image = (table["in_h"] * table["in_w"] > 1).to_numpy()
        terms["patch_runs"] = np.where(image, N * table["kernel_h"].to_numpy(float), 0.0)
    return pd.DataFrame(terms, index=table.index)


def _depthwise_terms(table: pd.DataFrame) -> pd.DataFrame:
    """Terms of a kernel that takes one channel of a group of output rows at a time, a word for one, two or four of them.

    Of 8 bits x 8 bits a sum fills a word, of fewer bits it leaves room for those of other rows. A group is four rows; two where a
    stride makes them far apart and a word does not hold four. Input rows that a small cache does not hold are read anew for
    every channel.
    """
    columns, rows, width, stride, channels = (
        table[name].to_numpy(float) for name in ("in_w", "out_h", "out_w", "stride", "out_channels")
    )
    lanes, apart = _rows_of_a_word(table), stride > 1
    together = np.where(apart & (lanes < 4), 2, 4)
    groups = np.ceil(rows / together)
    words = (groups - 1) * together / lanes + np.ceil((rows - (groups - 1) * together) / lanes)
    read = columns * ((together - 1) * stride + table["kernel_h"].to_numpy(float))  # per group, of a channel
    terms = {
        "fixed": np.ones(len(table)),
        "channels": channels,
        "row_groups": groups,
        "channel_groups": channels * groups,
        "sum_rows": channels * words,
        "sums": channels * words * width * ~apart,
        "sums_apart": channels * words * width * apart,
        "outputs": channels * words * lanes * width,
        "missed": channels * groups * read * np.maximum(0, 1 - CACHE_BYTES / (read * channels)),
    }
    for count in (1, 2, 4):  # what gathering a column costs
        for far in (False, True):
            chosen = (lanes == count) & (apart == far)
            terms[f"columns_{count}{'_apart' if far else ''}"] = channels * groups * columns * chosen
    return pd.DataFrame(terms, index=table.index)


def _rows_of_a_word(table: pd.DataFrame) -> np.ndarray:
    """4, 2 or 1 output rows whose sums of products fit a word together, float64 (rows,)."""
    taps = (table["kernel_h"] * table["kernel_w"]).to_numpy(float)
    act, weight = table["act_bits"].to_numpy(float), table["weight_bits"].to_numpy(float)
    largest = taps * 2 ** (weight - 1) * (2**act - 1) * SUM_SIZE
    rows = table["out_h"].to_numpy(float)
    four, two = (largest < 2**8) & (rows >= 4), (largest < 2**16) & ((rows >= 4) | (rows == 2))
    return np.where(four, 4.0, np.where(two, 2.0, 1.0))


def _brick(bits: np.ndarray) -> np.ndarray:
    """Bits rounded up to the power of two, at least 2, in which multipliers are fused."""
    return 2.0 ** np.ceil(np.log2(np.maximum(bits, 2)))
