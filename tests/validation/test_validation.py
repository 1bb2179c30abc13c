"""Protocols keep groups apart and cover every row once; metrics agree with their definitions."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mico_runner.errors import UnknownName, UsageError
from mico_runner.kernel_table import kernel_table
from mico_runner.validation import PROTOCOLS
from mico_runner.validation.metrics import error_metrics
from mico_runner.validation.protocols import group_ids, splits


def table(shapes: list[int], bits: tuple[int, ...] = (2, 8)) -> pd.DataFrame:
    rows = [{"kind": "linear", "in_channels": s, "act_bits": b, "weight_bits": b} for s in shapes for b in bits]
    return kernel_table(rows).assign(
        network=[f"n{s % 3}" for s in shapes for _ in bits],
        dataset=[f"d{s % 2}" for s in shapes for _ in bits],
        device=[f"v{s % 2}" for s in shapes for _ in bits],
    )


@given(st.integers(2, 20), st.integers(2, 6), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
@pytest.mark.parametrize("protocol", sorted(set(PROTOCOLS.names()) - {"in_sample", "few_shapes"}))
def test_every_row_is_tested_once_and_never_trained_on(protocol, shapes, folds, seed):
    rows = table(list(range(1, shapes + 1)))
    parts = splits(protocol, rows, folds=folds, seed=seed)
    assert sorted(np.concatenate([test for _, test in parts])) == list(range(len(rows)))
    for train, test in parts:
        assert len(train) + len(test) == len(rows) and not set(train) & set(test)
        assert len(train) and len(test)


@given(st.integers(2, 20), st.integers(2, 6), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_group_kfold_never_shares_a_shape(shapes, folds, seed):
    rows = table(list(range(1, shapes + 1)), bits=(1, 2, 4))
    for train, test in splits("group_kfold", rows, folds=folds, seed=seed):
        assert not set(rows["in_channels"].iloc[train]) & set(rows["in_channels"].iloc[test])


def test_few_shapes_learns_from_a_tenth_of_the_shapes():
    rows = table(list(range(1, 31)), bits=(1, 2, 4))
    parts = splits("few_shapes", rows, seed=3)
    assert [len(train) for train, _ in parts] == [9] * 10
    for train, test in parts:
        assert sorted([*train, *test]) == list(range(len(rows)))
        assert not set(rows["in_channels"].iloc[train]) & set(rows["in_channels"].iloc[test])


def test_in_sample_is_all_rows_twice():
    ((train, test),) = splits("in_sample", table([1, 2]))
    assert list(train) == list(test) == [0, 1, 2, 3]


def test_the_seed_decides_the_folds():
    rows = table(list(range(1, 30)))
    one, same, other = (splits("group_kfold", rows, seed=s) for s in (1, 1, 2))
    assert all((a[1] == b[1]).all() for a, b in zip(one, same, strict=True))
    assert any(list(a[1]) != list(b[1]) for a, b in zip(one, other, strict=True))


def test_groups_ignore_bits_and_respect_kind():
    rows = table([5, 5, 7])
    assert group_ids(rows).tolist() == [0, 0, 0, 0, 1, 1]
    assert len(set(group_ids(rows.assign(kind=["linear"] * 5 + ["add"])))) == 3


def test_errors_name_the_column_or_protocol():
    with pytest.raises(UsageError, match="no column 'network'"):
        splits("leave_one_network_out", table([1, 2]).drop(columns="network"))
    with pytest.raises(UnknownName, match="did you mean 'group_kfold'"):
        splits("groupkfold", table([1, 2]))
    with pytest.raises(UsageError, match="at least 2"):
        splits("group_kfold", table([3]))


def test_metrics_by_hand():
    found = error_metrics(np.array([100.0, 200.0, 400.0]), np.array([110.0, 180.0, 400.0]))
    assert found["mape"] == pytest.approx(0.2 / 3)
    assert found["max_ape"] == pytest.approx(0.1)
    assert found["spearman"] == pytest.approx(1.0) and found["kendall"] == pytest.approx(1.0)


def test_rank_correlation_of_reversed_order_is_minus_one():
    measured = np.arange(1.0, 20.0)
    assert error_metrics(measured, measured[::-1])["kendall"] == pytest.approx(-1.0)
    assert np.isnan(error_metrics(measured, np.ones_like(measured))["spearman"])


@pytest.mark.parametrize("measured", [[0.0, 1.0], [-1.0, 1.0], [np.nan, 1.0], []])
def test_metrics_refuse_latencies_that_are_not_positive(measured):
    with pytest.raises(ValueError):
        error_metrics(np.array(measured), np.ones(len(measured)))


def test_values_that_are_equal_up_to_rounding_have_no_ranks():
    measured = 1000 * (1 + 1e-15 * np.arange(20))
    found = error_metrics(measured, measured[::-1])
    assert np.isnan(found["spearman"]) and np.isnan(found["kendall"]) and found["explained"] == pytest.approx(1.0)


def test_explained_is_one_for_a_perfect_prediction_and_none_for_the_mean():
    measured = np.exp(np.random.default_rng(0).normal(8, 2, 500))
    assert error_metrics(measured, measured)["explained"] == 1.0
    mean = np.full(500, np.exp(np.log(measured).mean()))
    assert 0 < error_metrics(measured, mean)["explained"] < 0.01
    assert error_metrics(measured, measured[::-1])["explained"] < -0.5
    assert error_metrics(measured, 1.02 * measured)["explained"] > 0.999


def test_small_errors_of_near_constant_values_are_no_failure():
    rng = np.random.default_rng(0)
    measured = 1000 * rng.lognormal(0, 0.02, 200)
    assert error_metrics(measured, np.full(200, 1000.0))["explained"] > 0.9


@given(st.lists(st.floats(1e-9, 1e15), min_size=1, max_size=5), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_metrics_of_any_few_positive_values_are_numbers_or_have_no_ranks(measured, seed):
    predicted = np.array(measured) * np.random.default_rng(seed).lognormal(0, 1, len(measured))
    found = error_metrics(np.array(measured), predicted)
    assert all(np.isfinite(value) for name, value in found.items() if name not in ("spearman", "kendall"))
    assert found["explained"] <= 1
