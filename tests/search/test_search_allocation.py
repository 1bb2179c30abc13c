"""Bits from layer shapes alone: quantisation noise and its exact allocation."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mico_runner.errors import StepError
from mico_runner.search import Space, allocation

# J. Max, "Quantizing for Minimum Distortion", 1960, table II: mean squared error of N equally spaced levels, normal distribution.
MAX_1960 = {1: 0.3634, 2: 0.1188, 3: 0.03744, 4: 0.01154, 5: 0.003490}


def test_noise_is_that_of_the_published_table():
    for bits, error in MAX_1960.items():
        assert allocation.noise(bits) == pytest.approx(error, rel=2e-3)
    assert allocation.noise(allocation.TERNARY) == pytest.approx(0.1902, rel=2e-3)  # the same table, three levels


def test_noise_falls_with_every_bit():
    values = [allocation.noise(bits) for bits in (1, 1.5, 2, 3, 4, 5, 6, 7, 8)]
    assert values == sorted(values, reverse=True)


def problem(seed: int, layers: int = 4):
    space = Space.grid([f"l{i}" for i in range(layers)], [2, 4, 8], [4, 8])
    rng = np.random.default_rng(seed)
    bits = np.array(space.choices, dtype=float)
    table = rng.lognormal(0, 1, (layers, 1)) * (bits.prod(axis=1) + rng.uniform(0, 20, (layers, len(bits))))
    return space, table


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.1, 0.9))
def test_the_best_allocation_is_that_of_complete_enumeration(seed, share):
    space, table = problem(seed)
    lowest = allocation.lowest_total(space, table)
    high = lowest + share * (table.max(axis=1).sum() - lowest)
    everything = [np.array(c) for c in itertools.product(range(len(space.choices)), repeat=len(space.layers))]
    within = [c for c in everything if table[np.arange(len(c)), c].sum() <= high]
    found = allocation.best(space, {"energy": (table, high)})
    assert table[np.arange(len(found)), found].sum() <= high * (1 + 1e-6)
    assert allocation.sqnr(space, found) == pytest.approx(max(allocation.sqnr(space, c) for c in within))


def test_the_front_rises_and_no_uniform_allocation_lies_above_it():
    space, table = problem(3)
    rows = allocation.describe(space, allocation.front(space, table, {}, 12), {"energy": table})
    assert len(rows) > 5
    assert all(a["sqnr_db"] < b["sqnr_db"] and a["energy"] < b["energy"] for a, b in itertools.pairwise(rows))
    for row in rows:
        uniform = allocation.best_uniform(space, {"energy": (table, row["energy"])})
        assert uniform is None or allocation.sqnr(space, uniform) <= row["sqnr_db"] + 1e-9


def test_limits_that_no_bits_keep_are_named_with_what_can_be_reached():
    space, table = problem(0)
    with pytest.raises(StepError, match=r"energy reaches .*, limit 0\.001"):
        allocation.best(space, {"energy": (table, 0.001)})


def test_one_bit_that_saves_more_than_its_share_is_named():
    space = Space.of({"first": [(8, 8), (7, 8), (7, 7)], "last": [(8, 8), (7, 8)]})
    choices = {pair: at for at, pair in enumerate(space.choices)}
    cost = np.ones((2, 3))
    cost[0, choices[(8, 8)]] = 2.0
    cost[1, choices[(8, 8)]] = 1.2
    assert allocation.cliffs(space, cost, 1.5) == [("first", (8, 8), (7, 8), 2.0)]
    assert [layer for layer, *_ in allocation.cliffs(space, cost, 1.1)] == ["first", "last"]
