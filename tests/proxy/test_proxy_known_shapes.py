"""Completion of shapes that were profiled at some bit-widths."""

import numpy as np
import pytest
from scipy.optimize import check_grad

from mico_runner.kernel_table import kernel_table
from mico_runner.proxy import known_shapes
from mico_runner.proxy.known_shapes import FEWEST, _cost
from mico_runner.proxy.model import make
from mico_runner.validation.protocols import splits

BITS = (1, 2, 4, 8)


def quirky(shapes: int = 8, seed: int = 0):
    """A profile whose shapes each pay a price of their own per activation and per weight bit-width; noise of 0.2 %."""
    rng = np.random.default_rng(seed)
    rows = [
        {"kind": "linear", "in_channels": 32 * (s + 1), "out_channels": 64, "act_bits": a, "weight_bits": w}
        for s in range(shapes)
        for a in BITS
        for w in BITS
    ]
    table = kernel_table(rows)
    by_act, by_weight = rng.uniform(0.2, 1.0, (2, shapes, len(BITS)))
    prices = by_act[:, :, None] + by_weight[:, None, :]
    return table, 1000 + table["macs"].to_numpy() * prices.ravel() * np.exp(rng.normal(0, 0.002, len(table)))


def row_wise_error(table, latency, **params) -> float:
    errors = []
    for train, test in splits("kfold", table, seed=1):
        fitted = make("hybrid", params={"tune": False, **params}).fit(table.iloc[train], latency[train])
        errors.append(np.abs(fitted.predict(table.iloc[test]) / latency[test] - 1))
    return float(np.concatenate(errors).mean())


def test_a_shape_with_prices_of_its_own_is_completed_from_its_own_rows():
    table, latency = quirky()
    assert row_wise_error(table, latency) < 0.25 * row_wise_error(table, latency, complete=False)


@pytest.mark.parametrize("strategy", ["hybrid", "auto"])
def test_unseen_shapes_are_predicted_as_without_completion(strategy, monkeypatch):
    table, latency = quirky()
    unseen = kernel_table([{"kind": "linear", "in_channels": 77, "out_channels": 33, "act_bits": 4, "weight_bits": 2}])
    completing = make(strategy).fit(table, latency)
    monkeypatch.setattr(known_shapes, "fit", lambda *_: None)
    plain = make(strategy).fit(table, latency)
    assert completing.predict(unseen) == plain.predict(unseen)
    assert not np.array_equal(completing.predict(table), plain.predict(table))


def test_too_few_measurements_of_a_shape_complete_nothing():
    table, latency = quirky(shapes=1)
    some = slice(0, FEWEST - 1)
    assert known_shapes.fit(table[some], latency[some], np.random.default_rng(0)) is None
    otherwise = np.arange(1.0, len(table) + 1)
    assert known_shapes.predict(None, table, otherwise) is otherwise


def test_kernels_without_weights_are_not_completed():
    rows = [{"kind": "max_pool2d", "in_channels": 8, "out_channels": 8, "in_h": h, "in_w": 8} for h in (4, 6, 8, 10)]
    table = kernel_table([{**row, "act_bits": a, "weight_bits": 0} for row in rows for a in BITS])
    assert known_shapes.fit(table, np.full(len(table), 5.0), np.random.default_rng(0)) is None


def test_bit_widths_that_the_profile_does_not_have_are_left_to_the_other_prediction():
    table, latency = quirky()
    at_2 = table["weight_bits"].isin([1, 2]).to_numpy()
    state = known_shapes.fit(table[at_2], latency[at_2], np.random.default_rng(0))
    odd = kernel_table(
        [{"kind": "linear", "in_channels": 64, "out_channels": 64, "act_bits": a, "weight_bits": 4} for a in (3, 8)]
    )
    assert known_shapes.predict(state, odd, np.array([5.0, 7.0])).tolist() == [5.0, 7.0]


def test_the_gradient_of_the_likelihood_is_that_of_finite_differences():
    rng = np.random.default_rng(0)
    blocks = []
    for size in (3, 7):
        factors = rng.normal(size=(4, size, 2))
        blocks.append((factors @ factors.transpose(0, 2, 1), rng.normal(size=size) / 10))
    for logs in rng.uniform(-4, 0, (5, 5)):
        error = check_grad(lambda x: _cost(x, blocks)[0], lambda x: _cost(x, blocks)[1], logs)
        assert error < 1e-4 * max(1.0, np.abs(_cost(logs, blocks)[1]).max())
