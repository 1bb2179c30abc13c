"""Feature sets: named columns computed from the kernel table, the same way when fitting and when predicting."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mico_runner.ops.families import FAMILIES
from mico_runner.proxy import FEATURES

register = FEATURES.register

POOL_COLUMNS = ["in_h", "in_w", "in_channels", "kernel_h", "stride"]


def compute(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Feature columns float64 (rows, features) of a kernel table of one kind. Raises UnknownName."""
    return FEATURES.get(name)(table).astype(float)


def matrix(table: pd.DataFrame, name: str) -> np.ndarray:
    """`compute` as float64 array (rows, features), columns in the feature set's fixed order."""
    return compute(table, name).to_numpy()


def shape_columns(table: pd.DataFrame) -> pd.DataFrame:
    """The raw features without bits: MACs and the sizes that MiCo's predictors see, for kernels with weights.

    Linear: MACs, outputs, reduction. Convolution: MACs, input height, width, channels, outputs, kernel (its height), stride.
    Pooling and add have no MACs; their number of outputs stands in.
    """
    if columns := FAMILIES[table["kind"].iloc[0]].features:
        return table[list(columns)]
    outputs = table["batch"] * table["out_channels"] * table["out_h"] * table["out_w"]
    return table[POOL_COLUMNS].assign(outputs=outputs)
