"""TileFlow's RTL runs of fused products (S. Zheng et al., MICRO 2023): two in a chain, as in attention, on a systolic array of 16 x 16.

No constant is fitted on the fused runs. Two latencies, of a request and of the array, are read off the steady steps of single products
in the same folder; what these single products take is predicted beside them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from mico_runner.accelerators import fused
from mico_runner.errors import UsageError
from mico_runner.reproductions import register
from mico_runner.reproductions.base import Figure, Outcome
from mico_runner.validation.metrics import error_metrics

FUSED = (
    "m",
    "middle",
    "k",
    "tile_m",
    "same_middle",
    "tile_k",
    "same_m",
    "n",
    "same_too",
    "same_tile_m",
    "same_n",
    "tile_middle",
)
SINGLE = ("m", "n", "k", "tile_m", "tile_n", "tile_k")
TRAFFIC = ("mem_to_buf", "buf_to_mem", "buf_to_reg", "reg_to_buf")


@register(
    "tileflow",
    data="codesign/tileflow",
    params={
        "products_per_cycle": {"type": "integer", "min": 1, "default": 256, "meta": {"help": "of the array, 16 x 16"}},
        "words_per_cycle": {"type": "number", "min": 0.001, "default": 4, "meta": {"help": "of loads, and of stores"}},
        "word_bits": {"type": "integer", "min": 1, "default": 16, "meta": {"help": "of a word of the memory"}},
        "request_cycles": {"type": "integer", "min": 0, "default": 6, "meta": {"help": "of a load beside its words"}},
        "start_cycles": {"type": "integer", "min": 0, "default": 55, "meta": {"help": "of a step beside its products"}},
    },
)
def reproduce(
    files: list[Path],
    seed: int,
    products_per_cycle: int,
    words_per_cycle: float,
    word_bits: int,
    request_cycles: int,
    start_cycles: int,
) -> Outcome:
    """Cycles and traffic of 131 fused runs, and of 1,152 single products."""
    engine = fused.Engine(products_per_cycle, words_per_cycle, request_cycles, start_cycles)
    runs, single = read(files[0], FUSED), read(files[1], SINGLE)
    traffic = pd.read_csv(files[2])
    if tuple(traffic) != TRAFFIC or len(traffic) != len(runs):
        raise UsageError(
            f"{files[2]}: found {len(traffic)} rows of {list(traffic)}; allowed: {len(runs)} of {list(TRAFFIC)}"
        )
    nests = [
        fused.chain(r["m"], r["k"], r["middle"], r["n"], r["tile_m"], r["tile_k"], r["tile_middle"])
        for r in runs.to_dict("records")
    ]
    runs["predicted"] = [fused.cycles(nest, engine) for nest in nests]
    loads = np.array([sum(sum(step.loads.values()) for step in nest) for nest in nests])
    stores = np.array([sum(step.stores for step in nest) for nest in nests])
    equal = (loads * word_bits == traffic["mem_to_buf"]) & (stores * word_bits == traffic["buf_to_mem"])
    single["predicted"] = [
        fused.cycles(fused.product(*sizes), engine) for sizes in single[list(SINGLE)].to_numpy().tolist()
    ]
    figures = {"rows": Figure(len(runs), "count"), "traffic_equal": Figure(float(equal.mean()), "ratio", "higher")}
    for name, table in (("fused", runs), ("single", single)):
        found = error_metrics(table["cycles"].to_numpy(), table["predicted"].to_numpy())
        figures |= {
            f"{name}.{key}": Figure(found[key], "ratio", "higher" if key == "spearman" else "lower", 1e-4)
            for key in ("mape", "max_ape", "spearman")
        }
        figures[f"{name}.exact"] = Figure(float((table["cycles"] == table["predicted"]).mean()), "ratio", "higher")
    shown = [name for name in runs if not str(name).startswith("same_")]
    note = f"{len(runs)} fused runs: {100 * figures['fused.mape'].value:.2f} % mean error, {100 * figures['fused.exact'].value:.0f} % exact"
    return Outcome(figures, {"fused": runs[shown], "single": single}, (note,))


def read(file: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Whole numbers without a header: the columns, then cycles. Raises UsageError."""
    table = pd.read_csv(file, header=None)
    wide = len(columns) + 1
    if table.shape[1] != wide or any(kind.kind != "i" for kind in table.dtypes):
        raise UsageError(
            f"{file}: found {table.shape[1]} columns; allowed: {wide} of whole numbers: {', '.join(columns)}, cycles"
        )
    return table.set_axis([*columns, "cycles"], axis=1)
