"""The last digits of numbers decide nothing: another BLAS kernel or processor gives others."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mico_runner.search import ALGORITHMS, Constraint, Cost, run
from mico_runner.search.rounding import DIGITS, quanta, quantum, significant
from mico_runner.testing.problems import network

NOISE = 1e-12  # of a value: far more than two BLAS kernels differ by
KERNELS = ("Haswell", "Nehalem", "Prescott")  # of OpenBLAS, that every x86-64 machine of today can run
COMMAND = "import sys, json; from test_search_rounding import digest; print(json.dumps(digest(sys.argv[1])))"


def disturbed(problem, sign, rng):
    """The problem with all that is computed, costs and loss, off by up to NOISE of itself, and the limits as they follow."""

    def off(values):
        return values * (1 + sign * NOISE * rng.random(np.shape(values)))

    costs = {name: Cost(off(cost.table), float(off(cost.fixed)), cost.unit) for name, cost in problem.costs.items()}
    limits = [Constraint(c.metric, float(off(c.max)), c.min, c.reference, c.relative_to) for c in problem.constraints]

    def evaluate(configs):
        measured = problem.evaluate(configs)
        return {name: off(v) if name == "loss" else v for name, v in measured.items()}

    return replace(problem, costs=costs, constraints=limits, evaluate=evaluate)


LEARNING = (
    "bayes",
    "haq",
    "interactions",
    "mico",
    "nlp",
    "regression",
    "surrogate",
)  # take seconds: larger problems at night


def budget(algorithm):
    """At most half of it are first points, which no model chose."""
    return 24 if algorithm in LEARNING else 40


SIZES = [
    pytest.param(*size, name, marks=[pytest.mark.nightly] * (number > 0 and name in LEARNING))
    for number, size in enumerate([(4, 0), (4, 1), (8, 2), (12, 3)])
    for name in ALGORITHMS.names()
]


@pytest.mark.parametrize("layers, seed, algorithm", SIZES)
def test_last_digits_of_costs_change_no_choice(algorithm, layers, seed):
    problem = network(layers=layers, weight_bits=(2, 3, 4, 8), seed=seed, budget=budget(algorithm), limit=0.6)
    found = run(problem, algorithm, seed=seed)
    for sign in (-1, 1):
        other = run(disturbed(problem, sign, np.random.default_rng(seed)), algorithm, seed=seed)
        assert np.array_equal(found.configs, other.configs)
        assert found.chosen == other.chosen and np.array_equal(found.front, other.front)


@pytest.mark.parametrize("algorithm", ALGORITHMS.names())
def test_layers_that_cost_the_same_are_told_apart_by_rule(algorithm):
    """Exact ties are where noise would decide."""
    problem = network(layers=8, weight_bits=(2, 4, 8), seed=5, budget=budget(algorithm), limit=0.6)
    same = {name: Cost(np.tile(cost.table[:1], (8, 1)), cost.fixed, cost.unit) for name, cost in problem.costs.items()}
    rows = np.arange(8)
    limit = Constraint("latency", max=0.6 * float(same["latency"].table[rows, problem.space.base].sum()))
    problem = replace(problem, costs=same, constraints=[limit])
    found = run(problem, algorithm, seed=0)
    for sign in (-1, 1):
        other = run(disturbed(problem, sign, np.random.default_rng(1)), algorithm, seed=0)
        assert np.array_equal(found.configs, other.configs) and found.chosen == other.chosen


def digest(algorithm):
    """All that one algorithm evaluates, and chooses, on a few problems."""
    found = []
    for seed in range(2):
        problem = network(layers=10, weight_bits=(2, 3, 4, 8), seed=seed, budget=30, limit=0.6)
        result = run(problem, algorithm, seed=seed)
        found.append([result.configs.tolist(), result.chosen])
    return found


@pytest.mark.nightly
@pytest.mark.parametrize("algorithm", ALGORITHMS.names())
def test_every_blas_kernel_finds_the_same(algorithm):
    def under(kernel):
        paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
        environment = {**os.environ, "OPENBLAS_CORETYPE": kernel, "PYTHONPATH": paths}
        command = [sys.executable, "-c", COMMAND, algorithm]
        return json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)

    first, *others = [under(kernel) for kernel in KERNELS]
    assert all(other == first for other in others)


@given(st.floats(1e-12, 1e12), st.integers(1, 12))
@settings(max_examples=200, deadline=None)
def test_significant_digits(value, digits):
    rounded = float(significant(np.array(value), digits))
    assert abs(rounded - value) <= 0.5000001 * 10.0 ** (np.floor(np.log10(value)) - digits + 1)
    assert float(significant(np.array(rounded), digits)) == pytest.approx(rounded, rel=1e-15)


def test_what_rounding_leaves_alone():
    values = np.array([0.0, np.nan, np.inf, -np.inf])
    assert np.array_equal(significant(values, 3), values, equal_nan=True)
    whole = np.array([3.0, 17_300_211.0, np.nan])
    assert quantum(whole) == 1 and np.array_equal(quanta(whole, 1.0), whole, equal_nan=True)


@given(st.lists(st.floats(1e-3, 1e8), min_size=1, max_size=20), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_sums_of_costs_do_not_depend_on_their_order(values, random):
    table = np.array(values)[:, None]
    mixed = list(values)
    random.shuffle(mixed)
    configs = np.zeros((1, len(values)), dtype=int)
    assert Cost(table).total(configs) == Cost(np.array(mixed)[:, None]).total(configs)
    assert Cost(table).total(configs)[0] == pytest.approx(sum(values), rel=len(values) * 10.0 ** -(DIGITS - 1))
