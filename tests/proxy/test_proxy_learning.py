"""Sampling what to profile: how fast the error falls, and what adaptive sampling looks at."""

import numpy as np
import pandas as pd
import pytest

from mico_runner.kernel_table import kernel_table
from mico_runner.proxy.adaptive import next_rows
from mico_runner.proxy.learning import SAMPLERS, learning_curve, rows_needed
from mico_runner.proxy.strategies.structural import Structural


@pytest.fixture(scope="module")
def profile():
    """24 linear layers at 9 pairs of bits, 2 % noise."""
    rng = np.random.default_rng(0)
    shapes = [(int(2 ** rng.uniform(2, 9)), int(2 ** rng.uniform(2, 9))) for _ in range(24)]
    rows = [
        {"kind": "linear", "in_channels": k, "out_channels": m, "act_bits": a, "weight_bits": w}
        for k, m in shapes
        for a in (2, 4, 8)
        for w in (2, 4, 8)
    ]
    table = kernel_table(rows)
    latency = 300 + 20 * table["out_channels"] + table["macs"] * (1 + table[["act_bits", "weight_bits"]].max(axis=1))
    return table, (latency * np.exp(rng.normal(0, 0.02, len(table)))).to_numpy(float)


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_draw_distinct_rows_and_repeat(name, profile):
    table, latency = profile
    draws = [SAMPLERS[name](table, latency, 60, np.random.default_rng(3)) for _ in range(2)]
    assert np.array_equal(*draws)
    assert len(set(draws[0].tolist())) == 60
    assert draws[0].min() >= 0 and draws[0].max() < len(table)
    assert sorted(SAMPLERS[name](table, latency, len(table), np.random.default_rng(3))) == list(range(len(table)))


def test_adaptive_sampling_skips_what_it_knows(profile):
    table, latency = profile
    known = np.arange(9 * 12)  # all pairs of bits of the first twelve shapes
    chosen = next_rows(table, known, latency[known], 12)
    assert not set(chosen) & set(known)
    assert len(np.unique(chosen // 9)) == 12, "one row of each new shape before a second one of any"


def test_adaptive_sampling_never_asks_for_more_than_there_is(profile):
    table, latency = profile
    known = np.arange(len(table) - 3)
    assert sorted(next_rows(table, known, latency[known], 10)) == [len(table) - 3, len(table) - 2, len(table) - 1]


def test_the_error_falls_with_the_rows(profile):
    curve = learning_curve(Structural(), *profile, sizes=[8, 40, 10_000], repeats=2, seed=0)
    assert set(curve["sampler"]) == set(SAMPLERS)
    assert curve.groupby(["sampler", "rows"])["repeat"].nunique().eq(2).all()
    mean = curve.groupby(["sampler", "rows"])["mape"].mean().unstack()
    assert (mean.iloc[:, 0] > mean.iloc[:, -1]).all()
    assert np.ptp(mean.iloc[:, -1]) < 1e-9, "with all rows it does not matter how they were sampled"
    assert curve["rows"].max() < len(profile[0]), "the tested shapes are never among the profiled ones"


def test_rows_needed_counts_up_to_random_samplings_last_error():
    def curve(adaptive):
        rows = [("random", n, e) for n, e in ((10, 0.3), (20, 0.2), (40, 0.1))]
        rows += [("adaptive", n, e) for n, e in zip((10, 20, 40), adaptive, strict=True)]
        return pd.DataFrame([{"sampler": s, "rows": n, "repeat": r, "mape": e} for s, n, e in rows for r in (0, 1)])

    assert rows_needed(curve((0.2, 0.1, 0.1)), "adaptive") == 0.5
    assert rows_needed(curve((0.3, 0.2, 0.09)), "adaptive") == 1.0
    assert np.isnan(rows_needed(curve((0.3, 0.2, 0.11)), "adaptive"))
