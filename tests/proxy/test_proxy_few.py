"""`auto` on few shapes: forms are combined, not chosen."""

import numpy as np
import pytest

from mico_runner.proxy import persist
from mico_runner.proxy.strategies.auto import FEW_SHAPES, Auto, _least_relative_error
from mico_runner.proxy.strategies.structural import Structural
from mico_runner.testing.predictors import profile
from mico_runner.validation.protocols import group_ids


def test_the_forecast_has_the_least_expected_relative_error():
    """Against every other forecast, when each of the forms is as likely to be right."""
    rng = np.random.default_rng(0)
    logs = rng.normal(0, 1.5, (5, 40))
    found = np.exp(_least_relative_error(logs))
    truths = np.exp(logs)

    def expected(forecast):
        return np.abs(forecast / truths - 1).mean(axis=0)

    for other in np.exp(np.linspace(-5, 5, 201)):
        assert (expected(found) <= expected(np.full(40, other)) + 1e-12).all()


def test_forms_that_agree_are_left_alone():
    np.testing.assert_allclose(_least_relative_error(np.full((6, 3), 2.0)), 2.0)


@pytest.mark.parametrize("kind", ["linear", "conv2d"])
def test_few_shapes_err_less_than_by_structure_alone(kind):
    table = profile(kind, count=40)
    latency, shape = table["latency"].to_numpy(float), group_ids(table)
    errors = {"auto": [], "structural": []}
    for first in range(0, 40, 4):
        learned = (shape >= first) & (shape < first + 4)
        for name, estimator in (("auto", Auto(complete=False)), ("structural", Structural())):
            fitted = estimator.fit(table[learned], latency[learned])
            errors[name].append(np.abs(fitted.predict(table[~learned]) / latency[~learned] - 1).mean())
    assert np.mean(errors["auto"]) < np.mean(errors["structural"])


def test_saved_and_loaded_it_predicts_the_same(tmp_path):
    table = profile("linear", count=FEW_SHAPES - 1)
    fitted = Auto(seed=1).fit(table, table["latency"].to_numpy(float))
    assert fitted.few_ and len(fitted.members_) == 6
    persist.save(tmp_path, {"it": fitted})
    other = profile("linear", seed=3)
    assert np.array_equal(persist.load(tmp_path)["it"].predict(other), fitted.predict(other))
