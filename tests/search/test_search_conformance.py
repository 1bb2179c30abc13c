"""Every registered search algorithm keeps the contract (`mico_runner.testing.searchers`), and is worth its name."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from mico_runner.errors import StepError
from mico_runner.search import ALGORITHMS, Space, regret, run
from mico_runner.testing import searchers
from mico_runner.testing.problems import additive, network
from mico_runner.testing.searchers import LENET16, RESNET, check_tiny_budgets, same

BETTER = [name for name in ALGORITHMS.names() if name != "random"]
OFTEN = ("exact", "nsga2", "random")  # the others are tried whole by make test-all
OF_DEFAULT = ("budget_is_spent", "first_keeps_the_limits", "small_spaces_are_used_up")
QUICK = ("parameters_are_declared", "seconds_end_it")


def nightly(name):
    return pytest.param(name, marks=[pytest.mark.nightly] * (name not in ("exact", "nsga2")))


def trials():
    for check in searchers.CHECKS:
        for name in ALGORITHMS.names():
            quick = name in OFTEN or check.__name__ in QUICK
            quick |= name == "auto" and check.__name__ in OF_DEFAULT
            marks = [] if quick else [pytest.mark.nightly]
            yield pytest.param(check, name, marks=marks, id=f"{check.__name__}-{name}")


@pytest.mark.parametrize(("check", "algorithm"), trials())
def test_contract(check, algorithm, tmp_path):
    check(algorithm, tmp_path)


def test_other_seeds_give_other_random_searches():
    problem = network(**LENET16, budget=30)
    for algorithm in ("random", "nsga2"):
        assert not same(run(problem, algorithm, seed=1), run(problem, algorithm, seed=2))


@pytest.mark.parametrize("objectives", [("quality", "latency"), ("latency", "quality")])
@pytest.mark.parametrize("algorithm", map(nightly, BETTER))  # random draws may all miss the accuracy
def test_a_tiny_budget_ends_in_a_choice_where_an_accuracy_is_needed_too(algorithm, objectives):
    check_tiny_budgets(algorithm, network(**LENET16, limit=0.8, accuracy_drop=20.0, objectives=objectives))


def test_an_algorithm_that_begins_beyond_the_limits_breaks_its_contract(monkeypatch):
    class Wrong(ALGORITHMS.get("random")):
        def ask(self, n):
            return self.problem.space.base[None]

    problem = network(**LENET16, limit=0.4)
    monkeypatch.setattr(ALGORITHMS, "get", lambda name: Wrong)
    with pytest.raises(RuntimeError, match="asked first for a configuration beyond the cost constraints"):
        run(problem, "random")


# `nlp` and the others that know how noise falls with bits are none the wiser where losses are drawn at random.
@pytest.mark.parametrize("name", [nightly(name) for name in BETTER if name != "nlp"])
def test_better_than_random_on_average(name):
    gains = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        space = Space.of({f"layer{i}": [(w, 8) for w in (1, 2, 3, 4, 8)] for i in range(8)})
        problem = additive(space, rng, budget=50)
        found = {a: run(problem, a, seed=seed) for a in (name, "random")}
        gains.append(regret(problem, found["random"], found[name]))
    assert np.mean(gains) > 0
    assert np.median(gains) >= 0


@pytest.mark.parametrize("name", map(nightly, BETTER))
def test_better_than_random_on_a_network(name):
    gains = []
    for seed in range(3):
        problem = network(**RESNET, seed=seed, budget=40)
        found = {a: run(problem, a, seed=seed) for a in (name, "random")}
        gains.append(regret(problem, found["random"], found[name]))
    assert np.mean(gains) > 1.0


def test_listing_imports_no_algorithm():
    code = (
        "import sys; from mico_runner.search import ALGORITHMS; ALGORITHMS.names();"
        "sys.exit(any(m in sys.modules for m in ('pygmo', 'scipy', 'mico_runner.search.exact')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("params", [("bayes", {"acquisition": "ucb"}), ("regression", {"model": "process"})])
def test_other_models_keep_the_contract_too(params):
    name, options = params
    problem = network(**LENET16, budget=20)
    result = run(problem, name, options, seed=0)
    assert len(result.configs) == 20 and result.feasible[result.chosen]


def test_what_needs_the_curvature_says_so_where_there_is_none():
    problem = replace(network(layers=3), curvature=None)
    for name in ("gradient", "interactions"):
        with pytest.raises(StepError, match="needs the curvature of the loss"):
            run(problem, name)
    assert run(problem, "auto").feasible.any()
    with pytest.raises(StepError, match=r"curvature of shape \(2, 2\); wanted: \(9, 9\)"):
        run(replace(problem, curvature=lambda: np.eye(2)), "gradient")
