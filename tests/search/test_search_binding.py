"""What bound a choice, against all changes of one layer."""

import numpy as np
import pytest

from mico_runner.search.binding import bindings
from mico_runner.testing.problems import network


@pytest.mark.parametrize("seed", range(5))
def test_both_changes_are_the_best_of_all(seed):
    problem = network(layers=4, activation_bits=(4, 8), seed=seed, limit=0.6)
    rng = np.random.default_rng(seed)
    everything = problem.space.enumerate()
    chosen = rng.choice(everything[problem.cheap_feasible(everything)])
    points = rng.normal(size=problem.space.mask.shape)
    (found,) = bindings(problem, chosen, points)
    value, most = problem.cost("latency", chosen[None])[0], problem.constraints[0].max
    assert found.metric == "latency" and found.used == pytest.approx(value / most)
    saving, dearer = [], []
    for layer in range(4):
        for choice in np.flatnonzero(problem.space.mask[layer]):
            other = chosen.copy()
            other[layer] = choice
            share = problem.cost("latency", other[None])[0] / value - 1
            gain = points[layer, choice] - points[layer, chosen[layer]]
            if share < 0:
                saving.append((np.inf if gain >= 0 else share / gain, -share))
            if value * (1 + share) > most and gain > 0:
                dearer.append(gain)
    assert (found.saves is None) == (not saving) and (found.kept_out is None) == (not dearer)
    if saving:
        rate = np.inf if found.saves.points >= 0 else found.saves.share / found.saves.points
        assert (rate, -found.saves.share) == pytest.approx(max(saving))
    if dearer:
        assert found.kept_out.points == pytest.approx(max(dearer))
    text = found.text("points")
    assert text.startswith("latency: ") and ("would save" in text) == bool(saving)


def test_without_a_limit_nothing_is_bound():
    problem = network(layers=3, limit=np.inf)
    assert bindings(problem, problem.space.base, np.zeros(problem.space.mask.shape)) == []
