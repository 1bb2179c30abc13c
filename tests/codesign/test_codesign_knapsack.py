"""One option of each group within budgets: the solver equals brute force, and its bounds hold."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mico_runner.codesign import knapsack
from mico_runner.codesign.knapsack import Group


def brute(groups, budgets):
    """The least cost of all choices within the budgets, None where none is."""
    best = None
    for choice in product(*(range(len(group.cost)) for group in groups)):
        use = sum(group.use[option] for group, option in zip(groups, choice, strict=True))
        cost = sum(group.cost[option] for group, option in zip(groups, choice, strict=True))
        if (use <= np.asarray(budgets) * (1 + knapsack.SLACK)).all() and (best is None or cost < best):
            best = cost
    return best


@st.composite
def problems(draw):
    """Up to five groups of up to five options with up to three resources; small whole numbers, so that many are equal."""
    resources = draw(st.integers(1, 3))
    groups = []
    for _ in range(draw(st.integers(1, 5))):
        options = draw(st.integers(1, 5))
        values = st.lists(st.integers(0, 12), min_size=options, max_size=options)
        use = np.array([draw(values) for _ in range(resources)], dtype=float).T
        groups.append(Group(np.array(draw(values), dtype=float), use))
    return groups, [draw(st.integers(0, 40)) for _ in range(resources)]


@settings(max_examples=60, deadline=None)
@given(problems())
def test_the_optimum_is_that_of_brute_force(problem):
    groups, budgets = problem
    found, best = knapsack.solve(groups, budgets), brute(groups, budgets)
    if best is None:
        assert found is None
        return
    assert found.value == pytest.approx(best) and found.gap == 0
    assert sum(group.cost[option] for group, option in zip(groups, found.choice, strict=True)) == pytest.approx(best)
    use = sum(group.use[option] for group, option in zip(groups, found.choice, strict=True))
    assert (use <= np.asarray(budgets) * (1 + knapsack.SLACK)).all()
    assert knapsack.bound(groups, budgets) <= best * (1 + 1e-9) + 1e-9


def test_many_groups_need_the_second_pass_and_are_proven():
    rng = np.random.default_rng(1)
    groups = []
    for _ in range(30):
        use = np.sort(rng.integers(1, 10**6, 40)).astype(float)
        groups.append(Group(np.sort(rng.integers(1, 10**6, 40))[::-1].astype(float), use[:, None]))
    budget = sum(np.median(group.use) for group in groups)
    found = knapsack.solve(groups, [budget])
    assert found.gap == 0 and found.value >= knapsack.bound(groups, [budget])
    tried = rng.integers(0, 40, (20_000, 30))
    cost = sum(group.cost[tried[:, g]] for g, group in enumerate(groups))
    use = sum(group.use[tried[:, g], 0] for g, group in enumerate(groups))
    assert cost[use <= budget].min() >= found.value


def test_what_no_choice_keeps_has_no_solution():
    group = Group(np.array([1.0]), np.array([[2.0]]))
    assert knapsack.solve([group], [1.0]) is None and knapsack.bound([group], [1.0]) == float("inf")


def test_the_gap_of_an_unproven_value_is_a_share_of_it():
    assert knapsack.Solution(np.zeros(1, dtype=int), 4.0, 3.0, 1).gap == 0.25
