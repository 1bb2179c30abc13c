"""The recorded tables are whole, add up, and what is known beforehand of the layers agrees with them."""

import numpy as np
import pytest

from mico_runner.errors import UsageError
from mico_runner.search import enumerate_all, regret, run
from mico_runner.search.curvature import Curvature
from mico_runner.testing.recorded import SUMS, recorded


@pytest.mark.parametrize("network", ["lenet", "resnet8"])
def test_a_recorded_network_is_a_problem(network):
    for metric in SUMS:
        problem = recorded(network, metric, 0.3, 32)
        everything = problem.space.enumerate()
        kept = problem.cheap_feasible(everything)
        assert 0 < kept.sum() < len(everything)
        found = problem.evaluate(everything[::7])
        assert np.array_equal(
            found["quality"], np.concatenate([problem.evaluate(c[None])["quality"] for c in everything[::7]])
        )
    base = problem.evaluate(problem.space.base[None])
    assert base["loss"][0] < np.median(problem.evaluate(everything)["loss"])


def test_sensitivities_by_gradients_rank_the_losses_of_resnet8():
    problem = recorded("resnet8", "bops", 0.3, 32)
    everything = problem.space.enumerate()
    rows = np.arange(len(problem.space.layers))
    expected = Curvature(problem).sensitivity[rows, everything].sum(axis=1)
    loss = problem.evaluate(everything)["loss"]
    ranks = [values.argsort().argsort() for values in (expected, loss)]
    assert np.corrcoef(*ranks)[0, 1] > 0.7


def test_auto_finds_all_but_the_best_of_resnet8():
    problem = recorded("resnet8", "bops", 0.3, 16)
    assert regret(problem, run(problem, "auto"), enumerate_all(problem)) <= 1.0


def test_an_unknown_table_is_named():
    with pytest.raises(UsageError, match="recorded network 'vgg'; allowed: lenet, resnet8"):
        recorded("vgg", "bops", 0.3, 8)
