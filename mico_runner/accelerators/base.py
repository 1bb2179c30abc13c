"""The contract of a kind of accelerator, an entry of this package.

`mico_runner/accelerators/<kind>.py`:

    @register(
        "ring",
        units=("nodes",),                                    # the number of multipliers is the product of these, for the area
        parameters={"nodes": "whole", "mac_pj": "positive"}, # what a profile of the kind states: whole, positive, rate, share or flag
        optional={"greedy": "flag"},                         # what it may leave out, which then is 0
        rules=(("nodes", "nodes % 2 == 0", "allowed: an even number"),),    # figure, what is to hold, message
        tiles={"weight": "nodes * 8"},                       # bits of the smallest tile in `weight_sram_bytes`
    )
    class Ring(Accelerator):
        \"\"\"A ring of nodes.\"\"\"

        def __init__(self, hardware):
            self.nodes = int(hardware.value("nodes"))

        def simulate(self, table):
            ...

The keywords are literals: device profiles are checked with them (`mico_runner.hardware`), and for that no file of this package is
imported. `rules` and `tiles` hold formulas over the parameters. A kind without `parameters` has the section `architecture` in its
profiles, an array of elements behind memories, instead.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from mico_runner.errors import UsageError
from mico_runner.kernel_table import BITS, DENSE

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class Accelerator(ABC):
    """A cost model with the figures of one device; made of the device's profile."""

    @abstractmethod
    def simulate(self, table: pd.DataFrame) -> pd.DataFrame:
        """The cost of each row of a kernel table (`mico_runner.kernel_table`).

        Returns:
            One row per row of `table`, same index, with the columns
            cycles: the latency, int64, the sum of the columns that end in `_cycles`;
            energy_pj: the energy;
            dram_bits: traffic with the outermost memory, the sum of weight_read_bits, act_read_bits, output_read_bits and
            output_write_bits;
            utilisation: multiplications done per multiplication that the array could have done in `cycles` at these bits;
            and what else explains them.

        Raises:
            UsageError: a kernel or a bit-width that the accelerator does not run.
        """

    def cycles(self, table: pd.DataFrame) -> np.ndarray:
        """Latency of each row of a kernel table, int64 (rows,), in cycles; see `simulate`."""
        return self.simulate(table)["cycles"].to_numpy()


def refuse_others(table: pd.DataFrame, widest: int) -> None:
    """Raises UsageError: a row that no array of multipliers runs, or whose operands are wider than `widest` bits."""
    wrong = {"kind": ~table["kind"].isin(DENSE), **{column: ~table[column].between(1, widest) for column in BITS}}
    for column, bad in wrong.items():
        if bad.any():
            row = table[bad].iloc[0]
            found, allowed = f"{row[column]}", f"1 to {widest}"
            if column == "kind":
                found, allowed = repr(found), f"one of {', '.join(DENSE)}"
            raise UsageError(f"{row_name(row)}: {column} is {found}; allowed: {allowed}")


def row_name(row: pd.Series) -> str:
    """The name of a row of a kernel table in messages."""
    return f"layer {row['layer']!r}" if "layer" in row else f"row {row.name}"
