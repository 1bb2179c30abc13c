"""Gemmini's RTL under FireSim (DOSA, MICRO 2023): 1,567 mappings of 66 layers, on arrays of 4 x 4 to 64 x 64.

Eight constants are fitted on all layers but those of a fold and judged on these; no layer is on both sides.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import least_squares

from mico_runner.accelerators import gemmini, timeloop_mappings
from mico_runner.reproductions import register
from mico_runner.reproductions.base import Figure, Outcome
from mico_runner.validation.metrics import error_metrics
from mico_runner.validation.protocols import splits

_LAYER = [f"prob.{name}" for name in ("C", "K", "N", "P", "Q", "R", "S", "Hstride", "Wstride")]
_SMALL = 0.05  # relative errors far above this count by their size, not by its square


@register(
    "gemmini-rtl",
    data="codesign/gemmini-rtl",
    params={
        "folds": {
            "type": "integer",
            "min": 2,
            "default": 6,
            "meta": {"help": "parts of the layers, each left out once"},
        },
        "cache_bytes": {
            "type": "integer",
            "min": 1,
            "default": 524288,
            "meta": {"help": "of the cache before the DRAM; FireSim's default"},
        },
    },
)
def reproduce(files: list[Path], seed: int, folds: int, cache_bytes: int) -> Outcome:
    """Cycles of RTL runs, each predicted by constants of other layers."""
    table = pd.read_csv(files[0])
    runs = runs_of(table)
    kept = ~refused(runs)
    terms = gemmini.terms(runs, cache_bytes)
    cycles = table["target.cycle"].to_numpy(float)
    predicted, found = np.full(len(table), np.nan), []
    at = np.flatnonzero(kept)
    for learn, test in splits("group_kfold", table[kept], folds=folds, group_by=_LAYER, seed=seed):
        constants = fitted(terms.iloc[at[learn]], cycles[at[learn]])
        predicted[at[test]] = gemmini.cycles(terms.iloc[at[test]], constants)
        found.append(constants)
    errors = error_metrics(cycles[kept], predicted[kept])
    ranges = pd.DataFrame(found).agg(["mean", "min", "max"]).T.rename_axis("constant").reset_index()
    arrays = pd.Series(runs.array.astype(int), name="array")
    shown = table[["mapping.mapping", *_LAYER, "target.cycle"]].assign(array=arrays, kept=kept, predicted=predicted)
    rate = table[[f"prob.{d}" for d in "CKNPQRS"]].prod(axis=1).to_numpy() / cycles
    figures = {
        "rows": Figure(len(table), "count"),
        "excluded_rows": Figure(int((~kept).sum()), "count"),
        "layers": Figure(table.groupby(_LAYER).ngroups, "count"),
        "beyond_16x16": Figure(int((rate > 16**2).sum()), "count"),
        "beyond_their_array": Figure(int((rate > runs.array**2).sum()), "count", "lower"),
        "mape": Figure(errors["mape"], "ratio", "lower", 0.002),
        "median_error": Figure(float(np.median(np.abs(predicted[kept] / cycles[kept] - 1))), "ratio", "lower", 0.002),
        "spearman": Figure(errors["spearman"], "ratio", "higher", 0.001),
    }
    sizes = ", ".join(f"{n} on {size} x {size}" for size, n in arrays.value_counts(sort=False).sort_index().items())
    notes = (
        f"runs: {sizes}",
        f"layers left out: {100 * errors['mape']:.1f} % mean error, Spearman {errors['spearman']:.4f}",
    )
    return Outcome(figures, {"runs": shown, "constants": ranges}, notes)


def runs_of(table: pd.DataFrame) -> gemmini.Runs:
    """The table's rows as they were run."""
    layers = {d: table[f"prob.{d}"].to_numpy(float) for d in "KCPQRS"}
    strides = {"P": table["prob.Wstride"].to_numpy(float), "Q": table["prob.Hstride"].to_numpy(float)}
    return gemmini.tiled([timeloop_mappings.parse(text) for text in table["mapping.mapping"]], layers, strides)


def refused(runs: gemmini.Runs) -> np.ndarray:
    """Runs of even kernels from 4 x 4 that are cut into three or more along an axis.

    They took 24 to 207 times the cycles of other mappings of their layers.
    """
    taps = runs.whole["R"]
    cut = (runs.turns["R"] > 2) | (runs.turns["S"] > 2)
    found: np.ndarray = ~runs.product & (taps % 2 == 0) & (taps > 2) & cut
    return found


def fitted(terms: pd.DataFrame, cycles: np.ndarray) -> dict[str, float]:
    """The constants of least relative errors; robust: large ones count by their size."""

    def errors(logs: np.ndarray) -> np.ndarray:
        constants = dict(zip(gemmini.CONSTANTS, np.exp(logs), strict=True))
        relative: np.ndarray = gemmini.cycles(terms, constants) / cycles - 1
        return relative

    found = least_squares(errors, np.log(gemmini.FIRST), loss="soft_l1", f_scale=_SMALL, max_nfev=100)
    return dict(zip(gemmini.CONSTANTS, np.exp(found.x).tolist(), strict=True))
