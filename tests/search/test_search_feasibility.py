"""Constraints that cannot be met are found before the budget is spent, and said clearly."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mico_runner.search import ALGORITHMS, Constraint, Cost, InfeasibleError, Space, enumerate_all, run
from mico_runner.search.feasibility import _price, _wanted, feasible_start
from mico_runner.search.problem import QUALITY
from mico_runner.tasks.base import Measure
from mico_runner.testing.problems import additive, network


def evaluations(problem):
    """The problem with a list of what it evaluates."""
    asked = []

    def evaluate(configs):
        asked.extend(configs.tolist())
        return problem.evaluate(configs)

    return replace(problem, evaluate=evaluate), asked


@pytest.mark.parametrize("algorithm", ALGORITHMS.names())
def test_one_constraint_out_of_reach(algorithm):
    problem, asked = evaluations(network(layers=4, limit=0.2))
    lowest = problem.cost("latency", np.zeros((1, 4), dtype=int))[0]
    ratio = lowest / problem.constraints[0].reference
    with pytest.raises(InfeasibleError) as error:
        run(problem, algorithm, seed=0)
    text = str(error.value)
    assert text.startswith(f"constraint latency <= 0.2 x int8 ({problem.constraints[0].max:,.0f} cycles) cannot be met")
    assert f"lowest reachable latency is {ratio:.4g} x int8 ({lowest:,.0f} cycles), with W2A8 in all 4 layers" in text
    accuracy = problem.evaluate(np.zeros((1, 4), dtype=int))["quality"][0]
    assert f"its accuracy is {accuracy:.2f} %" in text and "points below" in text
    assert len(asked) <= 3, "the message costs two evaluations, whatever the budget"


def test_the_price_is_relative_to_the_reference_of_the_accuracy_constraint():
    problem = network(layers=4, limit=0.2, accuracy_drop=0.5)
    with pytest.raises(InfeasibleError, match=r"points below the \d+\.\d\d % float$"):
        run(problem, "exact")


def test_the_lowest_reachable_value_itself_is_feasible():
    problem = network(layers=4, limit=1.0)
    lowest = float(problem.cost("latency", np.zeros((1, 4), dtype=int))[0])
    for value, feasible in ((lowest, True), (np.nextafter(lowest, 0), True), (lowest * (1 - 1e-7), False)):
        tight = replace(problem, constraints=[Constraint("latency", max=value)])
        assert (feasible_start(tight, np.random.default_rng(0)) is not None) == feasible


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("share", [1e-3, 1e-6, 1e-8])  # less than a billionth counts as kept
def test_a_limit_and_the_value_that_misses_it_never_read_the_same(share, relative):
    problem = network(layers=4, limit=1.0)
    scaled = {"latency": Cost(problem.costs["latency"].table * 1e3, unit="pJ")}
    problem = replace(problem, costs={**problem.costs, **scaled})
    lowest = float(problem.cost("latency", np.zeros((1, 4), dtype=int))[0])
    options = {"reference": lowest * 1.5, "relative_to": "int8"} if relative else {}
    limit = lowest * (1 - share)
    with pytest.raises(InfeasibleError) as error:
        run(replace(problem, constraints=[Constraint("latency", max=limit, **options)]), "random")
    wanted, reached = re.search(
        r"latency <= (.*?pJ)\)? cannot be met: .* latency is (.*?pJ)", str(error.value)
    ).groups()
    assert wanted != reached
    assert all(a != b for a, b in zip(wanted.split(" x "), reached.split(" x "), strict=True))


def test_an_accuracy_that_misses_its_limit_by_little_reads_otherwise():
    problem = network(layers=4, limit=0.6, budget=5, noise=False)
    best = run(problem, "exact", seed=0)
    top = float(best.metrics["quality"].max()) + 1e-6
    limit = Constraint("quality", min=top, reference=top + 0.5, relative_to="float")
    with pytest.raises(InfeasibleError) as error:
        run(replace(problem, constraints=[*problem.constraints, limit]), "exact", seed=0)
    wanted, found = re.search(r"accuracy >= (\S+) %.* is missed with (\S+) %", str(error.value)).groups()
    assert wanted != found and float(found) < float(wanted)


def test_constraints_that_exclude_each_other():
    problem = network(layers=4, limit=1.0)
    flash = problem.cost("flash_bytes", problem.space.base[None])[0]
    limits = [
        Constraint(
            "latency", max=problem.constraints[0].max * 0.4, reference=problem.constraints[0].max, relative_to="int8"
        ),
        Constraint("flash_bytes", min=float(flash)),
    ]
    problem, asked = evaluations(replace(problem, constraints=limits))
    with pytest.raises(InfeasibleError) as error:
        run(problem, "random")
    assert str(error.value).startswith("constraint latency <= 0.4 x int8")
    assert "cannot be met while flash_bytes >= " in str(error.value)
    assert "lowest reachable latency is 1 x int8" in str(error.value)
    assert len(asked) == 1


def test_a_cost_that_is_no_sum_out_of_reach():
    problem = replace(
        network(layers=4, limit=1.0),
        others={"ram_bytes": lambda configs: np.full(len(configs), 500.0)},
        constraints=[Constraint("ram_bytes", max=400.0)],
    )
    with pytest.raises(InfeasibleError, match=r"^none of all configurations .* has ram_bytes <= 400"):
        run(problem, "exact")


@pytest.mark.parametrize("algorithm", ALGORITHMS.names())
def test_accuracy_that_nothing_reaches_is_an_error_not_a_result(algorithm):
    problem = network(layers=4, limit=0.6, budget=20)
    problem = replace(problem, constraints=[*problem.constraints, Constraint("quality", min=99.9)])
    with pytest.raises(InfeasibleError) as error:
        run(problem, algorithm, seed=0)
    text = str(error.value)
    assert "no configuration that meets all constraints was found in " in text
    assert "accuracy >= 99.9 % is missed with " in text
    assert problem.cheap_feasible(error.value.config[None])[0]
    with pytest.raises(InfeasibleError, match="missed"):
        enumerate_all(problem)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_proven_infeasible_means_that_nothing_is_feasible(seed, layers, tight, tighter):
    space = Space.grid([f"layer{i}" for i in range(layers)], (2, 4, 8), (4, 8))
    problem = additive(space, np.random.default_rng(seed), 10)
    everything = space.enumerate()
    limits = [
        Constraint(name, max=float(np.quantile(problem.cost(name, everything), share) - 0.5))
        for name, share in (("latency", tight / 4), ("flash_bytes", tighter / 4))
    ]
    problem = replace(problem, constraints=limits)
    found = feasible_start(problem, np.random.default_rng(0))
    if found is None:
        assert not problem.cheap_feasible(everything).any()
        with pytest.raises(InfeasibleError):
            run(problem, "random")
    else:
        assert problem.cheap_feasible(found[None])[0]


def test_an_error_of_which_less_is_better_is_named_as_it_is_measured():
    """Quality is the negated error; messages speak of the error."""
    made = network(layers=4, limit=0.2)
    rmse = Measure("rmse", "", "", higher=False, tolerance=0.0)
    floor = Constraint(QUALITY, min=-0.3, reference=-0.25, relative_to="float")
    problem = replace(made, measure=rmse, constraints=[*made.constraints, floor])
    assert _wanted(problem, floor) == "rmse <= 0.3 (float +0.05)"
    text = _price(problem, np.zeros(4, int), lambda config: {QUALITY: -0.4})
    assert text == "its rmse is 0.4, 0.15 above the 0.25 float"
