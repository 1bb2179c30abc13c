"""The feature sets of MiCo (HKUSTGZ-MICS-LYU/MiCo-python, commit 3746cb4), with names on the columns."""

import numpy as np
import pandas as pd

from mico_runner.kernel_table import BITS
from mico_runner.proxy.features import register, shape_columns

REGISTER_BITS = 32  # MiCo's kernels hold floor(32 / bits) operands in one register


@register("raw")
def raw(table: pd.DataFrame) -> pd.DataFrame:
    """MACs, sizes and both bit-widths."""
    return shape_columns(table).join(table[BITS])


@register("raw+")
def raw_plus(table: pd.DataFrame) -> pd.DataFrame:
    """raw, whether the bit-widths differ, and how many operands fit a 32-bit register."""
    bits = table[BITS].clip(lower=1)  # kernels without weights have 0 weight bits
    return raw(table).assign(
        bits_differ=table["act_bits"] != table["weight_bits"],
        weights_per_register=REGISTER_BITS // bits["weight_bits"],
        activations_per_register=REGISTER_BITS // bits["act_bits"],
    )


@register("raw-shape")
def raw_shape(table: pd.DataFrame) -> pd.DataFrame:
    """raw without the bit-widths: what the INT8 base of the two-stage predictor sees."""
    return shape_columns(table)


@register("macs")
def macs(table: pd.DataFrame) -> pd.DataFrame:
    """MACs alone."""
    return table[["macs"]]


@register("macs+")
def macs_plus(table: pd.DataFrame) -> pd.DataFrame:
    """MACs and both bit-widths."""
    return table[["macs", *BITS]]


@register("bops")
def bops(table: pd.DataFrame) -> pd.DataFrame:
    """Bit operations: MACs x activation bits x weight bits."""
    return pd.DataFrame({"bops": table["macs"] * table["act_bits"] * table["weight_bits"]})


@register("bops+")
def bops_plus(table: pd.DataFrame) -> pd.DataFrame:
    """bops and raw."""
    return bops(table).join(raw(table))


@register("cbops")
def cbops(table: pd.DataFrame) -> pd.DataFrame:
    """MACs x the larger bit-width, MACs x weight bits, MACs x activation bits."""
    widest = np.maximum(table["act_bits"], table["weight_bits"])
    return pd.DataFrame(
        {
            "macs_max_bits": table["macs"] * widest,
            "macs_weight_bits": table["macs"] * table["weight_bits"],
            "macs_act_bits": table["macs"] * table["act_bits"],
        }
    )


@register("cbops+")
def cbops_plus(table: pd.DataFrame) -> pd.DataFrame:
    """cbops and raw."""
    return cbops(table).join(raw(table))
