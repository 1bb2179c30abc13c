"""The kernel table: named, typed columns from profile to prediction, so that no two dimensions can be swapped.

One row is one kernel call. Every profile loader and every network produces exactly these columns:

    kind          the family of the kernel (`ops.families`); networks' convolutions with a channel per group are "conv2d" here,
                  in profiles also "depthwise"
    batch         samples (times tokens) per call
    in_channels   reduction dimension of a linear layer (in features), input channels of a convolution
    out_channels  outputs of a linear layer, output channels of a convolution
    in_h, in_w    input size *after padding* (1 for linear)
    kernel_h, kernel_w, stride, groups   (1 for linear)
    out_h, out_w  floor((in - kernel) / stride) + 1 (dilated kernels are given their dilated extent)
    macs          batch * out_h * out_w * out_channels * (in_channels / groups) * kernel_h * kernel_w; 0 without weights
    act_bits, weight_bits   integers; weight_bits is 0, act_bits STORED_BITS for kernels without weights
A profile adds `latency` (unit in the catalog: cycles, ns) and `dataset`; a network adds `layer`. Names and rules of the columns are plain
data, which `validate` reads without pandas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mico_runner.ops.families import CONVOLUTIONS, FAMILIES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

SHAPE = ["batch", "in_channels", "out_channels", "in_h", "in_w", "kernel_h", "kernel_w", "stride", "groups"]
DERIVED = ["out_h", "out_w", "macs"]
BITS = ["act_bits", "weight_bits"]
COLUMNS = ["kind", *SHAPE, *DERIVED, *BITS]
KINDS = list(FAMILIES)
WEIGHTED = [kind for kind, family in FAMILIES.items() if family.weighted]
TOKENS = [kind for kind, family in FAMILIES.items() if family.tokens]
DENSE = [kind for kind, family in FAMILIES.items() if family.dense]
WIDEST_BITS = (
    8  # of a weight or an activation that a kernel with weights multiplies; ternary weights are stored as 2 bits
)
STORED_BITS = 8  # act_bits of kernels without weights: they read and write whole bytes, whatever the values' range

# Columns without which the latency of a kind says nothing; the others of SHAPE are 1, weight_bits 0.
NEEDED: dict[str, tuple[str, ...]] = {
    kind: (*family.columns, *(BITS if family.weighted else BITS[:1])) for kind, family in FAMILIES.items()
}


def is_depthwise(table: pd.DataFrame) -> pd.Series:
    """Convolutions with a channel per group; bool (rows,)."""
    alone = (
        (table["groups"] > 1) & (table["groups"] == table["in_channels"]) & (table["groups"] == table["out_channels"])
    )
    return alone & table["kind"].isin(CONVOLUTIONS)


def kernel_table(rows: pd.DataFrame | Sequence[Mapping[str, object]]) -> pd.DataFrame:
    """Fill defaults (1 for absent shape columns), derive out_h, out_w and macs, and check the types.

    Extra columns (layer, dataset, latency) pass through. Raises ValueError naming the first bad row and column.
    """
    import pandas as pd

    defaults = dict.fromkeys(SHAPE, 1) | dict.fromkeys(BITS, 0)
    if not isinstance(rows, pd.DataFrame):  # row by row: kinds with different columns may stand in one list
        rows = [{**defaults, **row} for row in rows]
    table = pd.DataFrame(rows).copy()
    for column, value in defaults.items():
        table[column] = table.get(column, value)
    for column in [*SHAPE, *BITS]:
        whole = pd.to_numeric(table[column], errors="coerce")
        bad = whole.isna() | (whole < (0 if column in BITS else 1)) | (whole % 1 != 0)
        if bad.any():
            found = table.loc[bad, column].iloc[0]
            raise ValueError(f"row {bad.idxmax()}, column {column!r}: {found!r} is not a whole number in range")
        table[column] = whole.astype("int64")
    unknown = ~table["kind"].isin(KINDS)
    if unknown.any():
        kind = table.loc[unknown, "kind"].iloc[0]
        raise ValueError(f"row {unknown.idxmax()}, column 'kind': {kind!r} is not one of {', '.join(KINDS)}")
    table["out_h"] = (table["in_h"] - table["kernel_h"]) // table["stride"] + 1
    table["out_w"] = (table["in_w"] - table["kernel_w"]) // table["stride"] + 1
    weighted = table["kind"].isin(WEIGHTED)
    taps = table["in_channels"] // table["groups"] * table["kernel_h"] * table["kernel_w"]
    outputs = table["batch"] * table["out_h"] * table["out_w"] * table["out_channels"]
    table["macs"] = (outputs * taps).where(weighted, 0).astype("int64")
    front = [c for c in table.columns if c not in COLUMNS]
    return table[[*front, *COLUMNS]].reset_index(drop=True)
