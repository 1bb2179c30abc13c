"""Integer programming against brute force."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mico_runner.search import (
    Budget,
    Constraint,
    Cost,
    Objective,
    Problem,
    Space,
    enumerate_all,
    regret,
    run,
    surrogate,
)
from mico_runner.search.greedy import relaxed
from mico_runner.search.milp import allocate
from mico_runner.search.nearby import changes
from mico_runner.testing.problems import additive

spaces = st.lists(
    st.lists(st.sampled_from([(1, 8), (2, 8), (4, 4), (4, 8), (8, 2), (8, 8)]), min_size=1, max_size=4, unique=True),
    min_size=1,
    max_size=5,
).map(lambda lists: Space.of({f"layer{i}": pairs for i, pairs in enumerate(lists)}))


@settings(max_examples=40, deadline=None)
@given(spaces, st.integers(0, 2**32 - 1), st.integers(1, 2), st.booleans())
def test_optimal_on_additive_losses_once_sensitivities_are_measured(space, seed, constraints, with_axis):
    probes = sum(space.counts) - len(space.layers)
    objectives = ("quality", "latency") if with_axis else ("quality",)
    problem = additive(space, np.random.default_rng(seed), 2 * (1 + probes), constraints, objectives)
    truth = enumerate_all(problem)
    assert regret(problem, run(problem, "exact", seed=0), truth) == 0.0


@settings(max_examples=40, deadline=None)
@given(spaces, st.integers(0, 2**32 - 1), st.integers(0, 3))
def test_allocation_is_the_best_of_all(space, seed, excluded):
    rng = np.random.default_rng(seed)
    rows = np.arange(len(space.layers))
    table, cost = (rng.integers(0, 1000, space.mask.shape).astype(float) for _ in range(2))
    everything = space.enumerate()
    value, price = (t[rows, everything].sum(axis=1) for t in (table, cost))
    highest = float(np.quantile(price, 0.4))
    order = np.argsort(np.where(price <= highest, value, np.inf), kind="stable")
    found = allocate(space, table, [(cost, highest)], everything[order[:excluded]])
    rest = [i for i in order[excluded:] if price[i] <= highest]
    if found is None:
        assert not rest
    else:
        assert cost[rows, found].sum() <= highest
        assert table[rows, found].sum() == value[rest[0]]
        assert not (everything[order[:excluded]] == found).all(axis=1).any()


@settings(max_examples=40, deadline=None)
@given(spaces, st.integers(0, 2**32 - 1), st.integers(1, 20))
def test_changes_are_the_best_of_one_or_two_layers(space, seed, count):
    rng = np.random.default_rng(seed)
    rows = np.arange(len(space.layers))
    table, cost = (rng.integers(0, 100, space.mask.shape).astype(float) for _ in range(2))
    everything = space.enumerate()
    config = everything[rng.integers(len(everything))]
    highest = float(cost[rows, config].sum())
    differing = (everything != config).sum(axis=1)
    near = everything[(differing >= 1) & (differing <= 2) & (cost[rows, everything].sum(axis=1) <= highest)]
    expected = np.sort(table[rows, near].sum(axis=1))[:count]
    found = changes(space, config, table, [(cost, highest)], count)
    assert len({tuple(c) for c in found.tolist()}) == len(found)
    assert {tuple(c) for c in found.tolist()} <= {tuple(c) for c in near.tolist()}
    assert np.array_equal(table[rows, found].sum(axis=1), expected)


def test_the_cheapest_network_of_sufficient_accuracy():
    """First objective latency, accuracy a constraint: the optimum of an additive problem is found."""
    space = Space.grid([f"layer{i}" for i in range(5)], (2, 4, 8), (8,))
    gaps, rows = [], np.arange(5)
    for seed in range(10):
        rng = np.random.default_rng(seed)
        drop = np.sort(rng.integers(1, 100, space.mask.shape), axis=1)[:, ::-1] / 100.0
        latency = np.sort(rng.integers(1, 100, space.mask.shape), axis=1).astype(float)

        def evaluate(configs, drop=drop):
            return {"quality": 99 - drop[rows, configs].sum(axis=1)}

        floor = float(evaluate(space.base[None])["quality"][0]) - 1.0
        problem = Problem(
            space,
            evaluate,
            [Objective("latency"), Objective("quality")],
            {"latency": Cost(latency)},
            constraints=[Constraint("quality", min=floor)],
            budget=Budget(40),
        )
        gaps.append(regret(problem, run(problem, "exact", seed=0), enumerate_all(problem)))
    assert max(gaps) <= 0.0


def test_no_debug_lines_on_standard_output(capfd):
    space = Space.grid([f"layer{i}" for i in range(12)], (1, 2, 4, 8), (1, 2, 4, 8))
    problem = additive(space, np.random.default_rng(0), 60)
    run(problem, "exact", seed=0)
    assert capfd.readouterr().out == ""


@settings(max_examples=40, deadline=None)
@given(spaces, st.integers(0, 2**32 - 1))
def test_the_relaxation_keeps_the_limit_and_misses_the_best_by_less_than_a_step(space, seed):
    rng = np.random.default_rng(seed)
    rows = np.arange(len(space.layers))
    table, cost = (rng.integers(0, 1000, space.mask.shape).astype(float) for _ in range(2))
    everything = space.enumerate()
    price = cost[rows, everything].sum(axis=1)
    highest = float(np.quantile(price, rng.random()))
    found = relaxed(space, table, cost, highest)
    best = table[rows, everything][price <= highest].sum(axis=1).min()
    largest = max(np.ptp(table[layer, list(allowed)]) for layer, allowed in enumerate(space.allowed))
    assert space.contains(found[None])[0] and cost[rows, found].sum() <= highest
    assert best <= table[rows, found].sum() <= best + largest
    assert relaxed(space, table, cost, price.min() - 1) is None


def test_effects_known_up_to_factors_have_the_prior_that_they_say():
    space = Space.of({f"layer{i}": [(w, 8) for w in (2, 4, 8)] for i in range(3)})
    rng = np.random.default_rng(0)
    prior = surrogate._Scaled(space, rng.random(space.mask.shape))
    every = np.eye(9)
    dense = prior.between(every)
    design = rng.integers(-1, 2, (4, 9)).astype(float)
    assert np.allclose(np.diag(dense), prior.variance)
    assert np.allclose(prior.between(design), design @ dense @ design.T)
    assert np.allclose(prior.with_effects(design), dense @ design.T)
