"""HAWQ-V3's programme against all 65,536 choices."""

import numpy as np
import pandas as pd
import pytest

from mico_runner.data import catalog
from mico_runner.errors import UsageError
from mico_runner.reproductions import hawq_v3


def layers():
    return catalog.fetch("search/hawq-v3-resnet18")


@pytest.fixture(autouse=True)
def mirror(monkeypatch):
    import os

    if "MICO_DATA_MIRROR" not in os.environ:
        pytest.skip("MICO_DATA_MIRROR is not set: the published layers are not there")


def test_the_choices_are_the_best_of_all_and_keep_shared_layers_alike():
    table = hawq_v3.read(layers()[0])
    sensitivity, costs = hawq_v3.tables(table)
    free = len(table) - len(hawq_v3.SHARED)
    every = (np.arange(2**free)[:, None] >> np.arange(free)) & 1
    own, price = (hawq_v3._merged(t) for t in (sensitivity, costs["latency"]))
    rows = np.arange(free)
    loss, cost = own[rows, every].sum(axis=1), price[rows, every].sum(axis=1)
    for share in (0.1, 0.5):
        limit = cost.min() + share * (cost.max() - cost.min())
        found = hawq_v3.best(sensitivity, costs["latency"], limit)
        assert found.value == pytest.approx(loss[cost <= limit].min(), rel=1e-9)
        assert found.bound == pytest.approx(found.value, rel=1e-6)
        choice = hawq_v3.expanded(found.config)
        assert all(choice[a] == choice[b] for a, b in hawq_v3.SHARED) and len(choice) == len(table)


def test_published_choices_keep_shared_layers_alike_and_their_limits():
    outcome = hawq_v3.reproduce(layers(), 0, 0.5)
    choices = outcome.tables["choices"].set_index("limit_on")
    assert (choices["chosen"] <= choices["limit"] * (1 + 1e-9)).all()
    assert (choices["sensitivity"] <= choices["published_sensitivity"] + 1e-12)[
        choices["published"] <= choices["limit"]
    ].all()
    for four in hawq_v3.PUBLISHED.values():
        assert all((a in four) == (b in four) for a, b in hawq_v3.SHARED)


def test_a_file_without_a_column_is_named(tmp_path):
    path = tmp_path / "layers.csv"
    pd.DataFrame({"weights": [1]}).to_csv(path, index=False)
    with pytest.raises(UsageError, match=r"layers.csv: no column hessian_trace_per_weight, macs"):
        hawq_v3.read(path)
