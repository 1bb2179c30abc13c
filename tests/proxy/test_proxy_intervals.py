"""Intervals of latency predictions: their share of hits in each part of a profile, and how they widen."""

from itertools import pairwise

import numpy as np
import pandas as pd

from mico_runner.kernel_table import kernel_table
from mico_runner.proxy import intervals
from mico_runner.proxy.crossval import by_part


def kernels(rng, count):
    rows = []
    for _ in range(count):
        shape = {name: int(2 ** rng.uniform(2, 9)) for name in ("in_channels", "out_channels")}
        rows += [{"kind": "linear", **shape, "act_bits": a, "weight_bits": 8} for a in (1, 8)]
    return kernel_table(rows)


def errors(table, rng):
    """Of a shape and of a row: a sixth of an octave larger per octave of work less, twice as large for few bits."""
    shape_of = np.arange(len(table)) // 2
    spread = 0.02 * (2**18 / table["macs"].to_numpy()) ** (1 / 6) * np.where(table["act_bits"] == 1, 2, 1)
    return spread * (0.8 * rng.normal(size=len(table))[shape_of] + 0.6 * rng.normal(size=len(table)))


def test_nine_of_ten_hold_in_every_part():
    rng = np.random.default_rng(0)
    hits, small, narrow, widths = [], [], [], []
    for _ in range(12):
        table, asked = kernels(rng, 60), kernels(rng, 60)
        state = intervals.calibrate(table, errors(table, rng))
        width = intervals.half_width(state, asked, 0.9)
        hits.append(np.abs(errors(asked, rng)) <= width)
        small.append(asked["macs"].to_numpy() < 2**11)
        narrow.append(asked["act_bits"].to_numpy() == 1)
        widths.append(width)
    hits, small, narrow, widths = map(np.concatenate, (hits, small, narrow, widths))
    for part in (small, ~small, narrow, ~narrow):
        assert 0.83 < hits[part].mean() < 0.97
    assert widths[small].mean() > 1.4 * widths[~small].mean(), "one width for all would do neither justice"
    assert widths[narrow].mean() > 1.2 * widths[~narrow].mean()


def test_extrapolation_widens():
    rng = np.random.default_rng(1)
    table = kernels(rng, 40)
    state = intervals.calibrate(table, errors(table, rng))
    far = [
        kernel_table(
            [{"kind": "linear", "in_channels": 512 * 4**n, "out_channels": 512, "act_bits": 8, "weight_bits": 8}]
        )
        for n in range(4)
    ]
    widths = [intervals.half_width(state, each, 0.9)[0] for each in far]
    assert widths == sorted(widths) and widths[-1] > 1.5 * widths[0]


def test_more_coverage_is_wider_and_rows_do_not_depend_on_others():
    rng = np.random.default_rng(2)
    table = kernels(rng, 25)
    state = intervals.calibrate(table, errors(table, rng))
    widths = [intervals.half_width(state, table, coverage) for coverage in (0.1, 0.5, 0.9, 0.99)]
    assert all((a <= b).all() for a, b in pairwise(widths))
    np.testing.assert_allclose(intervals.half_width(state, table.iloc[[3]], 0.9), widths[2][[3]])


def test_one_shape_and_bits_that_were_not_calibrated():
    table = kernels(np.random.default_rng(3), 1)
    state = intervals.calibrate(table, np.array([0.1, -0.1]))
    other = table.assign(act_bits=4)
    assert (intervals.half_width(state, other, 0.9) > 0.05).all()


def test_parts_of_a_validation():
    rows = pd.DataFrame({"kind": "linear", "protocol": "group_kfold", "dataset": ["a"] * 4 + ["b"] * 2})
    rows = rows.assign(
        act_bits=[8, 8, 8, 4, 4, 4], weight_bits=8, group=[0, 0, 1, 1, 2, 3], measured=[1.0, 2, 3, 4, 5, 6]
    )
    rows["predicted"] = rows["measured"] * [1, 1, 1, 1, 1.5, 1.5]
    rows = rows.assign(lower=0.9 * rows["predicted"], upper=1.1 * rows["predicted"])
    found = by_part(rows).set_index(["by", "part"])
    assert found.loc[("family", "a"), ["rows", "shapes", "mape", "coverage"]].tolist() == [4, 2, 0, 1]
    assert found.loc[("family", "b"), "coverage"] == 0 and np.isclose(found.loc[("family", "b"), "mape"], 0.5)
    assert list(found.loc["size"].index) == ["small", "medium", "large"] and (found.loc["size"]["rows"] == 2).all()
    assert list(found.loc["bits"].index) == ["8x8", "4x8"]
