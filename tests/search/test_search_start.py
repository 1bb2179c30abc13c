"""The first configuration of a search, and what is learned when it is not the one with the most bits."""

from dataclasses import replace

import numpy as np
import pytest

from mico_runner.search import Constraint, Space
from mico_runner.search.feasibility import feasible_start
from mico_runner.search.start import noise, start
from mico_runner.search.surrogate import AdditiveSurrogate
from mico_runner.testing.problems import additive, network

GRID = {"weight_bits": (1, 2, 4, 8), "activation_bits": (2, 8)}


def first(problem):
    return start(problem, feasible_start(problem, np.random.default_rng(0)))


def test_the_most_bits_where_they_are_affordable():
    problem = network(**GRID, limit=1.0)
    problem = replace(
        problem, constraints=[Constraint("latency", max=problem.constraints[0].max * (1 + 1e-6))]
    )  # costs have seven digits
    assert np.array_equal(first(problem), problem.space.base)


@pytest.mark.parametrize("seed", range(8))
def test_else_the_least_noise_of_all_affordable_ones(seed):
    space = Space.grid([f"layer{i}" for i in range(4)], (1, 2, 4, 8), (2, 8))
    problem = additive(space, np.random.default_rng(seed), 10, constraints=2)
    everything = space.enumerate()
    cheap = everything[problem.cheap_feasible(everything)]
    total = noise(space)[np.arange(4), cheap].sum(axis=1)
    found = first(problem)
    assert problem.cheap_feasible(found[None])[0]
    assert noise(space)[np.arange(4), found].sum() == pytest.approx(total.min(), rel=1e-9)


def test_a_limit_on_what_is_no_sum_is_kept_with_more_bits_than_the_anchor_has():
    problem = network(**GRID, limit=0.9)
    bits = np.array(problem.space.choices, dtype=float)
    ram = {"ram_bytes": lambda configs: bits[configs, 1].sum(axis=1) ** 2}
    problem = replace(problem, others=ram, constraints=[*problem.constraints, Constraint("ram_bytes", max=25.0**2)])
    found, base = first(problem), feasible_start(problem, np.random.default_rng(0))
    assert problem.cheap_feasible(found[None])[0]
    table, rows = noise(problem.space), np.arange(len(base))
    assert table[rows, found].sum() < table[rows, base].sum()


def test_fewer_bits_are_more_noise():
    space = Space.grid(["a"], (1, 1.5, 2, 4, 8), (8,))
    assert (np.diff(noise(space)[0]) < 0).all()


def test_effects_are_learned_without_the_base():
    """Losses that are sums: given the base or not, predictions of unseen configurations are close."""
    space = Space.grid([f"layer{i}" for i in range(5)], (2, 4, 8), (8,))
    problem = additive(space, np.random.default_rng(0), 10)
    everything = space.enumerate()
    loss = problem.evaluate(everything)["loss"]
    order = np.random.default_rng(1).permutation(len(everything))
    order = order[(everything[order] != space.base).any(axis=1)]
    observed, rest = order[:80], order[80:]
    surrogate = AdditiveSurrogate(space)
    surrogate.fit(everything[observed], loss[observed])
    errors = surrogate.predict(everything[rest]) - loss[rest]
    assert np.sqrt(np.mean(errors**2)) < 0.1 * loss[rest].std()
    assert surrogate.predict(space.base[None])[0] == pytest.approx(surrogate.base_loss)


def test_the_order_of_what_was_told_does_not_move_the_origin_off_the_base():
    space = Space.grid([f"layer{i}" for i in range(3)], (2, 4, 8), (8,))
    problem = additive(space, np.random.default_rng(0), 10)
    configs = np.concatenate([space.sample(6, np.random.default_rng(2)), space.base[None]])
    loss = problem.evaluate(configs)["loss"]
    one, other = AdditiveSurrogate(space), AdditiveSurrogate(space)
    one.fit(configs, loss)
    other.fit(configs[::-1], loss[::-1])
    assert np.allclose(one.mean, other.mean, atol=1e-6 * np.abs(loss).max())
    assert one.base_loss == other.base_loss == loss[-1]
