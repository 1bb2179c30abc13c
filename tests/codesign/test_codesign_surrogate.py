"""A surrogate over pairs: it finds the best of a space that can be enumerated, and says how sure it is."""

import numpy as np
import pytest

from mico_runner.codesign import surrogate


def space(seed, rough):
    """60 networks x 50 devices: a smooth cost with parts of a network and of a device that no feature tells, and a rough form of it."""
    rng = np.random.default_rng(seed)
    networks, devices = rng.normal(size=(60, 2)), rng.normal(size=(50, 2))
    guess = (networks @ [0.5, 0.3])[:, None] + (devices**2 @ [0.2, 0.4])[None]
    missed = 0.2 * np.sin(networks[:, :1] * devices[None, :, 0]) + rng.normal(0, 0.03, (60, 1))
    return surrogate.Pairs(networks, devices, guess if rough else None), np.exp(guess + missed)


def searched(pairs, cost, seed, evaluations=60):
    return surrogate.search(pairs, lambda at: cost[tuple(at.T)], evaluations, 30, np.random.default_rng(seed))


@pytest.mark.parametrize("rough", [True, False])
def test_the_best_pair_is_found(rough):
    pairs, cost = space(3, rough)
    found = searched(pairs, cost, 4)
    assert found.values.min() <= 1.01 * cost.min()
    assert len(np.unique(found.pairs, axis=0)) == len(found.pairs) == 60
    assert (found.values == cost[tuple(found.pairs.T)]).all()


def test_intervals_hold_as_often_as_they_say():
    inside = []
    for seed in range(3):
        pairs, cost = space(seed, rough=True)
        found = searched(pairs, cost, seed, evaluations=40)
        asked = pairs.drawn(1000, np.random.default_rng(seed))
        low, high = found.interval(pairs, asked)
        inside.append(((low <= cost[tuple(asked.T)]) & (cost[tuple(asked.T)] <= high)).mean())
    assert 0.8 <= np.mean(inside) <= 0.98


def test_one_seed_finds_the_same_pairs():
    pairs, cost = space(5, rough=True)
    assert (searched(pairs, cost, 6, 35).pairs == searched(pairs, cost, 6, 35).pairs).all()


def test_what_was_learned_is_known():
    pairs, cost = space(7, rough=True)
    at = pairs.drawn(40, np.random.default_rng(8))
    process = surrogate.Process()
    process.fit(pairs.features(at), at, np.log(cost[tuple(at.T)]))
    mean, std = process.predict(pairs.features(at), at)
    others = pairs.drawn(500, np.random.default_rng(9))
    assert np.abs(mean - np.log(cost[tuple(at.T)])).max() < 0.05
    assert std.max() < np.median(process.predict(pairs.features(others), others)[1])


def test_too_few_pairs_at_random_are_refused():
    pairs, cost = space(0, rough=True)
    with pytest.raises(ValueError, match="initial is 5; allowed: 10 to evaluations, 20"):
        surrogate.search(pairs, lambda at: cost[tuple(at.T)], 20, 5, np.random.default_rng(0))
