"""DOSA's runs of Timeloop and Accelergy (C. Hong et al., MICRO 2023): cycles and energy of 72,700 mappings on 95 designs.

Every row is a mapping, a convolution and a design like Gemmini's: DRAM, a scratchpad for weights and inputs, an accumulator memory for
outputs, a register for weights. The cycles follow from the row alone. Accelergy's energies of an access are not in the table: they are
fitted for each design on half of its mappings and judged on the other half.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pandas as pd

from mico_runner.accelerators import timeloop, timeloop_mappings
from mico_runner.accelerators.timeloop_mappings import Counts
from mico_runner.errors import UsageError
from mico_runner.reproductions import register
from mico_runner.reproductions.base import Figure, Outcome

CONSTANTS = ("product_pj", "dram_pj", "scratchpad_pj", "accumulator_pj", "register_fill_pj")
_CLOSE, _NEAR = 0.001, 0.01  # relative errors that count as equal, and as near


@register(
    "timeloop-dosa",
    data="codesign/dosa-timeloop",
    params={
        "drains": {
            "type": "boolean",
            "default": True,
            "meta": {"help": "results take one more access as they drain, as in the Timeloop of these runs"},
        },
        "dram_words": {
            "type": "number",
            "min": 0.001,
            "default": 8,
            "meta": {"help": "words per cycle of the DRAM, both ways together; the table does not say"},
        },
        "dram_block": {
            "type": "integer",
            "min": 1,
            "default": 64,
            "meta": {"help": "words that an access to the DRAM moves; the table does not say"},
        },
    },
)
def reproduce(files: list[Path], seed: int, drains: bool, dram_words: float, dram_block: int) -> Outcome:
    """Cycles as the model counts them, and energies with constants of the other half of the mappings."""
    runs = read(files[0])
    counts = timeloop_mappings.count(runs["mapping.mapping"], strides(runs), drains)
    cycles = cycles_of(runs, counts, dram_words)
    exact = cycles == runs["target.cycle"].to_numpy()
    terms, constants, error = fitted(runs, words(runs, counts, dram_block), seed)
    tested = ~np.isnan(error)
    size = np.abs(error[tested])
    columns = ["mapping.mapping", *_numbered(runs, "prob."), *_numbered(runs, "arch."), "target.cycle", "target.energy"]
    found = runs[columns].assign(cycles=cycles, energy_error=error)
    odd = found[~exact | (tested & (np.abs(error) > _CLOSE))]
    figures = {
        "rows": Figure(len(runs), "count"),
        "repeated_rows": Figure(int(runs.duplicated().sum()), "count"),
        "designs": Figure(len(constants), "count"),
        "cycles.exact": Figure(float(exact.mean()), "ratio", "higher"),
        "energy.tested_rows": Figure(int(tested.sum()), "count"),
        "energy.median_error": Figure(float(np.median(size)), "ratio", "lower", 1e-4),
        "energy.max_error": Figure(float(size.max()), "ratio", "lower", 1e-4),
        "energy.equal": Figure(float((size <= _CLOSE).mean()), "ratio", "higher"),
        "energy.near": Figure(float((size <= _NEAR).mean()), "ratio", "higher"),
    }
    notes = (
        f"{exact.sum()} of {len(runs)} rows have the printed cycles; {len(odd)} rows differ in cycles or energy: differences.csv",
        f"energies fitted with {len(terms)} constants for each design, largest error on the other half {size.max():.1e}",
    )
    return Outcome(figures, {"differences": odd, "constants": constants}, notes)


def read(file: Path) -> pd.DataFrame:
    """The table out of its archive. Raises UsageError."""
    try:
        with tarfile.open(file) as archive:
            member = archive.extractfile(archive.getmembers()[0])
            if member is None:
                raise UsageError(f"{file}: found no table in the archive; allowed: one .csv")
            return pd.read_csv(member)
    except tarfile.TarError as error:
        raise UsageError(f"{file}: not a tar archive: {error}") from None


def strides(runs: pd.DataFrame) -> pd.DataFrame:
    """The steps of the window along P and Q, as `timeloop_mappings.count` wants them."""
    return pd.DataFrame({"P": runs["prob.Wstride"], "Q": runs["prob.Hstride"]})


def cycles_of(runs: pd.DataFrame, counts: Counts, dram_words: float) -> np.ndarray:
    """Cycles of each run, whole numbers (rows,), rounded as Timeloop rounds them."""
    bandwidth = {"L3": np.full(len(runs), dram_words)}
    bandwidth |= {
        level: runs[f"arch.{name}_shared_bandwidth"].to_numpy(float) for level, name in (("L2", "mem2"), ("L1", "mem1"))
    }
    traffic = [
        (
            [counts.reads[at] for at in counts.reads if at[0] == level],
            [counts.writes[at] for at in counts.writes if at[0] == level],
            words_per_cycle,
        )
        for level, words_per_cycle in bandwidth.items()
    ]
    return timeloop.stretched(counts.compute_cycles, traffic)


def words(runs: pd.DataFrame, counts: Counts, dram_block: int) -> pd.DataFrame:
    """What each of `CONSTANTS` is paid for: products, and words moved in all instances; a row per run.

    DRAM and scratchpad move whole blocks: the words of an operand are rounded up to them, each way. The register's reads are the
    products, so that one constant covers both.
    """
    block = {"L3": dram_block, "L2": (runs["arch.mem2_width"] // runs["arch.mem2_word-bits"]).to_numpy()}

    def moved(level: str) -> np.ndarray:
        size = block.get(level, 1)
        each = [way[at] for way in (counts.reads, counts.writes) for at in way if at[0] == level]
        total: np.ndarray = counts.instances[level] * sum(-(-part // size) * size for part in each)
        return total

    products = runs[[f"prob.{d}" for d in timeloop_mappings.DIMENSIONS]].prod(axis=1).to_numpy()
    fills = counts.instances["L0"] * counts.writes["L0", "W"]
    return pd.DataFrame(
        dict(zip(CONSTANTS, (products, moved("L3"), moved("L2"), moved("L1"), fills), strict=True)), index=runs.index
    )


def fitted(runs: pd.DataFrame, terms: pd.DataFrame, seed: int) -> tuple[list[str], pd.DataFrame, np.ndarray]:
    """Energies of an access for each design, learned from a random half of its mappings.

    Rows that repeat a mapping of a layer stay together, so that none is on both sides.

    Returns:
        The names of the constants; a row of them per design, in pJ; the relative error of each run of the other half, float64
        (rows,), nan for those learned from.
    """
    printed = 1e6 * runs["target.energy"].to_numpy()
    design = _numbered(runs, "arch.")
    case = runs.groupby(["mapping.mapping", *_numbered(runs, "prob.")], sort=False).ngroup().to_numpy()
    values, error, rows = terms.to_numpy(float), np.full(len(runs), np.nan), []
    rng = np.random.default_rng(seed)
    for _, at in runs.groupby(design, sort=False).indices.items():
        cases = rng.permutation(np.unique(case[at]))
        learn = np.isin(case[at], cases[: len(cases) // 2])
        relative = values[at] / printed[at, None]
        scale = np.maximum(np.abs(relative[learn]).max(axis=0), np.finfo(float).tiny)
        constants = np.linalg.lstsq(relative[learn] / scale, np.ones(learn.sum()), rcond=None)[0] / scale
        error[at[~learn]] = relative[~learn] @ constants - 1
        first = runs.iloc[at[0]]
        sizes = {name: first[name] for name in ("arch.meshX", "arch.mem1_entries", "arch.mem2_entries")}
        worst = float(np.abs(error[at[~learn]]).max(initial=0.0))
        rows.append(sizes | dict(zip(CONSTANTS, constants, strict=True)) | {"max_error": worst})
    return list(CONSTANTS), pd.DataFrame(rows), error


def _numbered(runs: pd.DataFrame, prefix: str) -> list[str]:
    return [name for name in map(str, runs) if name.startswith(prefix) and runs[name].dtype.kind in "if"]
