"""One suite that every registered search algorithm passes (and a third party's should)."""

from dataclasses import replace

import numpy as np
import pytest
from search_problems import additive, network

from mico_runner.search import ALGORITHMS, Budget, Constraint, Objective, Space, enumerate_all, regret, run

LENET16 = {"weight_bits": (1, 2, 4, 8), "activation_bits": (1, 2, 4, 8)}  # 16^5 configurations: not enumerated
RESNET = {**LENET16, "layers": 21}


@pytest.fixture(params=ALGORITHMS.names())
def algorithm(request):
    return request.param


class Counted:
    """An evaluation that records what it was asked for, and fails when told to."""

    def __init__(self, evaluate, fail_after=None):
        self.evaluate, self.fail_after, self.asked = evaluate, fail_after, []

    def __call__(self, configs):
        if self.fail_after is not None and len(self.asked) + len(configs) > self.fail_after:
            raise KeyboardInterrupt
        self.asked += [tuple(c) for c in configs.tolist()]
        return self.evaluate(configs)


def same(a, b):
    return (
        np.array_equal(a.configs, b.configs)
        and all(np.array_equal(a.metrics[k], b.metrics[k]) for k in a.metrics)
        and np.array_equal(a.front, b.front)
        and a.chosen == b.chosen
    )


def test_the_seed_determines_the_search(algorithm):
    problem = network(**LENET16, budget=30)
    assert same(run(problem, algorithm, seed=1), run(problem, algorithm, seed=1))


def test_other_seeds_give_other_random_searches():
    problem = network(**LENET16, budget=30)
    for algorithm in ("random", "nsga2"):
        assert not same(run(problem, algorithm, seed=1), run(problem, algorithm, seed=2))


@pytest.mark.parametrize("options", [LENET16, RESNET], ids=["5 layers", "21 layers"])
@pytest.mark.parametrize("batch", [1, 7])
def test_the_budget_is_spent_exactly(algorithm, options, batch):
    problem = network(**options, budget=25, batch=batch)
    counted = Counted(problem.evaluate)
    result = run(replace(problem, evaluate=counted), algorithm, seed=0)
    assert len(result.configs) == len(counted.asked) == len(set(counted.asked)) == 25
    assert problem.space.contains(result.configs).all()


@pytest.mark.parametrize("budget", [1, 2, 3])
def test_a_tiny_budget_is_kept(algorithm, budget):
    problem = replace(network(**LENET16, limit=1.0), budget=Budget(budget))
    assert len(run(problem, algorithm, seed=0).configs) == budget


def run_slowly(problem, algorithm):
    """Each evaluation takes a second by the clock."""

    def slow(configs):
        measured = problem.evaluate(configs)
        clock.now += 1.0
        return measured

    class Clock:
        now = 0.0

    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.perf_counter", lambda: clock.now)
        return run(replace(problem, evaluate=slow), algorithm, seed=0)


def test_seconds_end_the_search(algorithm):
    problem = network(**LENET16)
    result = run_slowly(replace(problem, constraints=[], budget=Budget(50, seconds=8)), algorithm)
    assert len(result.configs) == 8 and result.seconds == 8.0


def small_arena(problem, most):
    """With a limit on a cost that is no sum: an arena as large as the two widest activations."""
    bits = np.array(problem.space.choices, dtype=float)[:, 1]
    ram = {"ram_bytes": lambda configs: np.sort(bits[configs], axis=1)[:, -2:].sum(axis=1)}
    return replace(
        problem, others=ram, constraints=[*problem.constraints, Constraint("ram_bytes", max=most, reference=16.0)]
    )


BEYOND = {  # the most bits in all layers break a limit that is known without an evaluation
    "latency": lambda: network(**LENET16, limit=0.4),
    "most layers": lambda: network(**RESNET, limit=0.3),
    "three choices": lambda: network(layers=5, limit=0.6),
    "nearly all": lambda: network(**LENET16, limit=0.999999),
    "arena": lambda: small_arena(network(**LENET16, limit=1.0), 10.0),
    "latency and arena": lambda: small_arena(network(**LENET16, limit=0.4), 6.0),
    "accuracy second": lambda: network(**LENET16, limit=0.8, accuracy_drop=20.0),
    "accuracy a limit": lambda: network(**LENET16, limit=0.8, accuracy_drop=20.0, objectives=("latency", "accuracy")),
}


@pytest.mark.parametrize("name", BEYOND)
@pytest.mark.parametrize("budget", [1, 2, 3, 5])
def test_a_tiny_budget_ends_in_a_choice_where_the_most_bits_cost_too_much(algorithm, budget, name):
    problem = BEYOND[name]()
    assert not problem.affordable(problem.space.base[None])[0]
    if algorithm == "random" and "accuracy" in name:
        pytest.skip("random draws may all miss the accuracy")
    result = run(replace(problem, budget=Budget(budget)), algorithm, seed=0)
    assert problem.affordable(result.configs[:1])[0] and result.feasible[result.chosen]
    assert len(result.configs) == budget


@pytest.mark.parametrize("seconds", [0.001, 1.5])
def test_a_short_time_ends_in_a_choice(algorithm, seconds):
    result = run_slowly(replace(network(**LENET16, limit=0.4), budget=Budget(50, seconds)), algorithm)
    assert result.feasible[result.chosen]


@pytest.mark.parametrize("seed", range(12))
def test_the_first_evaluation_keeps_the_cost_limits(algorithm, seed):
    rng = np.random.default_rng(seed)
    space = Space.of(
        {f"layer{i}": [(w, 8) for w in (1, 2, 4, 8)[: rng.integers(1, 5)]] for i in range(rng.integers(1, 7))}
    )
    problem = additive(space, rng, budget=int(rng.integers(1, 9)), constraints=int(rng.integers(0, 3)))
    result = run(problem, algorithm, seed=seed)
    assert problem.affordable(result.configs[:1])[0] and result.feasible[result.chosen]


def test_an_algorithm_that_begins_beyond_the_limits_breaks_its_contract(monkeypatch):
    class Wrong(ALGORITHMS.get("random")):
        def ask(self, n):
            return self.problem.space.base[None]

    problem = network(**LENET16, limit=0.4)
    monkeypatch.setattr(ALGORITHMS, "get", lambda name: Wrong)
    with pytest.raises(RuntimeError, match="asked first for a configuration beyond the cost constraints"):
        run(problem, "random")


def test_pinned_layers_stay(algorithm):
    problem = network(**LENET16, budget=25, limit=0.8)
    space = Space.grid(
        problem.space.layers, (1, 2, 4, 8), (1, 2, 4, 8), {"layer0": {"weight_bits": 8, "activation_bits": 8}}
    )
    assert space.choices == problem.space.choices
    result = run(replace(problem, space=space), algorithm, seed=0)
    assert {space.decode(c)["layer0"] for c in result.configs} == {(8, 8)}


@pytest.mark.parametrize("killed_at", [1, 9, 24])
def test_an_interrupted_search_continues_identically(algorithm, killed_at, tmp_path):
    problem = network(**LENET16, budget=25)
    undisturbed = run(problem, algorithm, seed=3)
    broken = Counted(problem.evaluate, fail_after=killed_at)
    journal = tmp_path / "journal.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run(replace(problem, evaluate=broken, journal=journal), algorithm, seed=3)
    with journal.open("a") as file:
        file.write('{"config": [1, 2')  # the write that the kill cut short
    rest = Counted(problem.evaluate)
    resumed = run(replace(problem, evaluate=rest, journal=journal), algorithm, seed=3)
    assert same(undisturbed, resumed)
    assert len(rest.asked) == 25 - killed_at
    again = Counted(problem.evaluate, fail_after=0)
    assert same(undisturbed, run(replace(problem, evaluate=again, journal=journal), algorithm, seed=3))


@pytest.mark.parametrize("objectives", [("accuracy", "latency"), ("accuracy",), ("latency", "accuracy")])
def test_the_choice_keeps_every_constraint_and_is_the_best_seen(algorithm, objectives):
    problem = network(**LENET16, budget=40, objectives=objectives, accuracy_drop=30.0, limit=0.8)
    result = run(problem, algorithm, seed=0)
    latency, accuracy = result.metrics["latency"], result.metrics["accuracy"]
    top, bottom = problem.constraints
    good = (latency <= top.max) & (accuracy >= bottom.min)
    assert np.array_equal(result.feasible, good) and good[result.chosen]
    if objectives[0] == "accuracy":
        assert accuracy[result.chosen] == accuracy[good].max()
        ties = good & (accuracy == accuracy[good].max())
        assert len(objectives) == 1 or latency[result.chosen] == latency[ties].min()
    else:
        assert latency[result.chosen] == latency[good].min()


def test_the_front_is_the_front(algorithm):
    problem = network(
        weight_bits=(1, 2, 4, 8), activation_bits=(2, 8), budget=40, objectives=("accuracy", "latency", "flash_bytes")
    )
    result = run(problem, algorithm, seed=0)
    points = problem.minimised(result.metrics)
    inside = np.flatnonzero(result.feasible)
    for i in inside:
        dominators = [j for j in inside if (points[j] <= points[i]).all() and (points[j] < points[i]).any()]
        twin_on_front = any((points[j] == points[i]).all() for j in result.front)
        assert bool(dominators) != twin_on_front
    assert set(result.front) <= set(inside)
    assert result.chosen == result.front[0]


@pytest.mark.parametrize("objectives", [("accuracy", "latency"), ("latency",), ("accuracy",)])
def test_a_small_space_is_used_up_and_then_the_search_ends(algorithm, objectives):
    problem = network(layers=3, limit=0.6, budget=1000, objectives=objectives)
    result = run(problem, algorithm, seed=0)
    everything = problem.space.enumerate()
    affordable = {tuple(c) for c in everything[problem.affordable(everything)].tolist()}
    assert affordable <= {tuple(c) for c in result.configs.tolist()}
    assert regret(problem, result, enumerate_all(problem)) == 0.0


def test_a_small_space_under_a_cost_that_is_no_sum_is_used_up_too(algorithm):
    problem = network(layers=3, limit=0.8, budget=1000)
    bits = np.array(problem.space.choices, dtype=float)
    widest = Constraint("ram_bytes", max=14.0)
    ram = {"ram_bytes": lambda configs: bits[configs, 0].max(axis=1) + bits[configs, 0].min(axis=1) ** 2 / 2}
    problem = replace(problem, others=ram, constraints=[*problem.constraints, widest])
    result = run(problem, algorithm, seed=0)
    assert regret(problem, result, enumerate_all(problem)) == 0.0
    assert result.feasible.sum() == problem.affordable(problem.space.enumerate()).sum()


def test_a_space_of_one(algorithm):
    problem = network(layers=2, weight_bits=(8,), limit=1.0)
    result = run(problem, algorithm, seed=0)
    assert len(result.configs) == 1 and result.chosen == 0


def test_costs_that_are_not_sums_are_kept(algorithm):
    problem = network(**LENET16, budget=30, limit=0.8)
    bits = np.array(problem.space.choices, dtype=float)

    def ram(configs):
        return 100.0 * bits[configs, 1].max(axis=1)  # the arena is as large as the widest activation

    problem = replace(
        problem, others={"ram_bytes": ram}, constraints=[*problem.constraints, Constraint("ram_bytes", max=400.0)]
    )
    result = run(problem, algorithm, seed=0)
    assert result.metrics["ram_bytes"][result.chosen] <= 400
    assert result.feasible.sum() >= 10, "the budget went to configurations that were known to be infeasible"


def test_evaluations_without_loss_will_do(algorithm):
    result = run(network(**LENET16, with_loss=False, budget=30), algorithm, seed=0)
    assert set(result.metrics) == {"accuracy", "latency", "flash_bytes"}


def test_lower_limits_and_maximised_costs(algorithm):
    problem = network(**LENET16, budget=30, limit=1.0)
    low = float(problem.cost("latency", problem.space.base[None])[0]) * 0.4
    problem = replace(
        problem,
        objectives=[Objective("latency", "max"), Objective("accuracy")],
        constraints=[*problem.constraints, Constraint("latency", min=low)],
    )
    result = run(problem, algorithm, seed=0)
    assert low <= result.metrics["latency"][result.chosen] == result.metrics["latency"][result.feasible].max()


@pytest.mark.parametrize("name", [n for n in ALGORITHMS.names() if n != "random"])
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


@pytest.mark.parametrize("name", [n for n in ALGORITHMS.names() if n != "random"])
def test_better_than_random_on_a_network(name):
    gains = []
    for seed in range(3):
        problem = network(**RESNET, seed=seed, budget=40)
        found = {a: run(problem, a, seed=seed) for a in (name, "random")}
        gains.append(regret(problem, found["random"], found[name]))
    assert np.mean(gains) > 1.0


def test_parameters_are_declared_with_the_defaults_of_the_code(algorithm):
    import inspect

    declared = {k: v["default"] for k, v in ALGORITHMS.info(algorithm).meta["params"].items()}
    signature = inspect.signature(ALGORITHMS.get(algorithm)).parameters
    taken = {k: p.default for k, p in signature.items() if k not in ("problem", "anchor", "rng")}
    assert declared == taken


def test_listing_imports_no_algorithm():
    import subprocess
    import sys

    code = (
        "import sys; from mico_runner.search import ALGORITHMS; ALGORITHMS.names();"
        "sys.exit(any(m in sys.modules for m in ('pygmo', 'scipy', 'mico_runner.search.exact')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
