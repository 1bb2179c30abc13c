"""Search algorithms: the contract of `search.base`, on synthetic problems that behave like quantised networks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np

from mico_runner.search import ALGORITHMS
from mico_runner.search.problem import Budget, Constraint, Objective, Problem
from mico_runner.search.running import SearchResult, enumerate_all, regret, run
from mico_runner.search.space import Space
from mico_runner.sections import Pin
from mico_runner.testing.problems import additive, network

LENET16: dict[str, object] = {
    "weight_bits": (1, 2, 4, 8),
    "activation_bits": (1, 2, 4, 8),
}  # 16^5 configurations: not enumerated
RESNET: dict[str, object] = {**LENET16, "layers": 21}
SEEDS = range(12)
Evaluate = Callable[[np.ndarray], Mapping[str, np.ndarray]]


def check_searcher(name: str, folder: Path) -> None:
    """Try a search algorithm with its default parameters on small problems.

    - Its parameters are declared with the defaults of its code; seed and answers determine what it does.
    - It spends the budget exactly, in evaluations or seconds, on distinct configurations of the space; pinned layers stay.
    - Its first configuration keeps the cost limits, and the search ends in a choice that keeps all of them, sums or not.
    - An interrupted search goes on identically from its journal.
    - A small space is used up, and then the search ends.
    - It does without losses, with lower limits, and with costs that are maximised.

    Args:
        folder: for journals.

    Raises:
        AssertionError: what does not hold.
    """
    for check in CHECKS:
        check(name, folder)


def parameters_are_declared(name: str, folder: Path) -> None:
    declared = {k: v["default"] for k, v in ALGORITHMS.info(name).meta.get("params", {}).items()}
    own = list(inspect.signature(ALGORITHMS.get(name)).parameters.items())[
        3:
    ]  # problem, feasible start and rng come first
    taken = {k: p.default for k, p in own}
    assert declared == taken, f"{name}: params declare the defaults {declared}, its constructor has {taken}"


def seed_determines(name: str, folder: Path) -> None:
    problem = network(**LENET16, budget=30)
    assert same(run(problem, name, seed=1), run(problem, name, seed=1)), f"{name}: one seed gives two searches"


def budget_is_spent(name: str, folder: Path) -> None:
    for options in (LENET16, RESNET):
        for batch in (1, 7):
            problem = network(**options, budget=25, batch=batch)
            counted = Counted(problem.evaluate)
            result = run(replace(problem, evaluate=counted), name, seed=0)
            assert len(result.configs) == len(counted.asked) == len(set(counted.asked)) == 25, f"{name}: budget 25"
            assert problem.space.contains(result.configs).all(), f"{name}: a configuration outside the space"
    for budget in (1, 2, 3):
        problem = replace(network(**LENET16, limit=1.0), budget=Budget(budget))
        assert len(run(problem, name, seed=0).configs) == budget, f"{name}: budget {budget}"


def seconds_end_it(name: str, folder: Path) -> None:
    problem = network(**LENET16)
    result = run_slowly(replace(problem, constraints=[], budget=Budget(50, seconds=8)), name)
    assert len(result.configs) == 8 and result.seconds == 8.0, f"{name}: {result.seconds} of 8 seconds"
    for seconds in (0.001, 1.5):
        result = run_slowly(replace(network(**LENET16, limit=0.4), budget=Budget(50, seconds)), name)
        assert result.feasible[result.chosen], f"{name}: no choice after {seconds} seconds"


def tiny_budgets_end_in_a_choice(name: str, folder: Path) -> None:
    for problem in costly():
        check_tiny_budgets(name, problem)


def first_keeps_the_limits(name: str, folder: Path) -> None:
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        space = Space.of(
            {f"layer{i}": [(w, 8) for w in (1, 2, 4, 8)[: rng.integers(1, 5)]] for i in range(rng.integers(1, 7))}
        )
        problem = additive(space, rng, budget=int(rng.integers(1, 9)), constraints=int(rng.integers(0, 3)))
        result = run(problem, name, seed=seed)
        kept = problem.cheap_feasible(result.configs[:1])[0] and result.feasible[result.chosen]
        assert kept, f"{name}: the first configuration of seed {seed} is beyond the cost limits"


def pinned_layers_stay(name: str, folder: Path) -> None:
    problem = network(**LENET16, budget=25, limit=0.8)
    space = Space.grid(problem.space.layers, (1, 2, 4, 8), (1, 2, 4, 8), {"layer0": Pin(8, 8)})
    assert space.choices == problem.space.choices
    result = run(replace(problem, space=space), name, seed=0)
    assert {space.decode(c)["layer0"] for c in result.configs} == {(8, 8)}, f"{name}: a pinned layer changed"


def interrupted_goes_on(name: str, folder: Path) -> None:
    problem = network(**LENET16, budget=25)
    undisturbed = run(problem, name, seed=3)
    for killed_at in (1, 9, 24):
        where = f"{name}: killed after {killed_at} evaluations"
        journal = folder / f"journal{killed_at}.jsonl"
        try:
            run(replace(problem, evaluate=Counted(problem.evaluate, killed_at), journal=journal), name, seed=3)
        except KeyboardInterrupt:
            pass
        else:
            raise AssertionError(f"{where}: it went on")
        with journal.open("a") as file:
            file.write('{"config": [1, 2')  # the write that the kill cut short
        rest = Counted(problem.evaluate)
        resumed = run(replace(problem, evaluate=rest, journal=journal), name, seed=3)
        assert same(undisturbed, resumed), f"{where}: it goes on differently"
        assert len(rest.asked) == 25 - killed_at, f"{where}: {len(rest.asked)} evaluations were left"
        again = Counted(problem.evaluate, fail_after=0)
        assert same(undisturbed, run(replace(problem, evaluate=again, journal=journal), name, seed=3)), where


def choice_is_the_best_that_keeps_all(name: str, folder: Path) -> None:
    for objectives in (("quality", "latency"), ("quality",), ("latency", "quality")):
        where = f"{name}, objectives {objectives}"
        problem = network(**LENET16, budget=40, objectives=objectives, accuracy_drop=30.0, limit=0.8)
        result = run(problem, name, seed=0)
        latency, accuracy = result.metrics["latency"], result.metrics["quality"]
        top, bottom = problem.constraints
        assert top.max is not None and bottom.min is not None
        good = (latency <= top.max) & (accuracy >= bottom.min)
        assert np.array_equal(result.feasible, good) and good[result.chosen], f"{where}: the choice breaks a limit"
        if objectives[0] == "quality":
            assert accuracy[result.chosen] == accuracy[good].max(), f"{where}: there is a better one"
            ties = good & (accuracy == accuracy[good].max())
            assert len(objectives) == 1 or latency[result.chosen] == latency[ties].min(), f"{where}: a tie is faster"
        else:
            assert latency[result.chosen] == latency[good].min(), f"{where}: there is a faster one"


def front_is_the_front(name: str, folder: Path) -> None:
    objectives = ("quality", "latency", "flash_bytes")
    problem = network(weight_bits=(1, 2, 4, 8), activation_bits=(2, 8), budget=40, objectives=objectives)
    result = run(problem, name, seed=0)
    points = problem.minimised(result.metrics)
    inside = np.flatnonzero(result.feasible)
    for i in inside:
        dominators = [j for j in inside if (points[j] <= points[i]).all() and (points[j] < points[i]).any()]
        twin_on_front = any((points[j] == points[i]).all() for j in result.front)
        assert bool(dominators) != twin_on_front, f"{name}: the front is wrong at {points[i]}"
    assert set(result.front) <= set(inside) and result.chosen == result.front[0], f"{name}: the front is wrong"


def small_spaces_are_used_up(name: str, folder: Path) -> None:
    for objectives in (("quality", "latency"), ("latency",), ("quality",)):
        problem = network(layers=3, limit=0.6, budget=1000, objectives=objectives)
        result = run(problem, name, seed=0)
        everything = problem.space.enumerate()
        cheap = {tuple(c) for c in everything[problem.cheap_feasible(everything)].tolist()}
        left = cheap - {tuple(c) for c in result.configs.tolist()}
        assert not left, f"{name}, objectives {objectives}: it ends with {len(left)} configurations left"
        assert regret(problem, result, enumerate_all(problem)) == 0.0, f"{name}, objectives {objectives}: regret"
    problem = network(layers=3, limit=0.8, budget=1000)
    bits = np.array(problem.space.choices, dtype=float)
    ram = {"ram_bytes": lambda configs: bits[configs, 0].max(axis=1) + bits[configs, 0].min(axis=1) ** 2 / 2}
    widest = Constraint("ram_bytes", max=14.0)
    problem = replace(problem, others=ram, constraints=[*problem.constraints, widest])
    result = run(problem, name, seed=0)
    assert regret(problem, result, enumerate_all(problem)) == 0.0, f"{name}: regret under a cost that is no sum"
    count = problem.cheap_feasible(problem.space.enumerate()).sum()
    assert result.feasible.sum() == count, f"{name}: not all {count} cheap-feasible configurations were found"
    result = run(network(layers=2, weight_bits=(8,), limit=1.0), name, seed=0)
    assert len(result.configs) == 1 and result.chosen == 0, f"{name}: a space of one configuration"


def costs_that_are_no_sums_are_kept(name: str, folder: Path) -> None:
    problem = network(**LENET16, budget=30, limit=0.8)
    bits = np.array(problem.space.choices, dtype=float)
    # The arena is as large as the widest activation.
    arena = {"ram_bytes": lambda configs: 100.0 * bits[configs, 1].max(axis=1)}
    limits = [*problem.constraints, Constraint("ram_bytes", max=400.0)]
    result = run(replace(problem, others=arena, constraints=limits), name, seed=0)
    assert result.metrics["ram_bytes"][result.chosen] <= 400, f"{name}: the choice breaks the limit of RAM"
    kept = result.feasible.sum()
    assert kept >= 10, f"{name}: {len(result.configs) - kept} evaluations of what was known to be infeasible"


def losses_are_optional(name: str, folder: Path) -> None:
    result = run(network(**LENET16, with_loss=False, budget=30), name, seed=0)
    assert set(result.metrics) == {"quality", "latency", "flash_bytes"}, f"{name}: metrics {set(result.metrics)}"


def lower_limits_and_maximised_costs(name: str, folder: Path) -> None:
    problem = network(**LENET16, budget=30, limit=1.0)
    low = float(problem.cost("latency", problem.space.base[None])[0]) * 0.4
    limits = [*problem.constraints, Constraint("latency", min=low)]
    problem = replace(problem, objectives=[Objective("latency", "max"), Objective("quality")], constraints=limits)
    result = run(problem, name, seed=0)
    latency = result.metrics["latency"]
    best = latency[result.feasible].max()
    assert low <= latency[result.chosen] == best, f"{name}: chosen {latency[result.chosen]} of {low} to {best}"


CHECKS: tuple[Callable[[str, Path], None], ...] = (
    parameters_are_declared,
    seed_determines,
    budget_is_spent,
    seconds_end_it,
    tiny_budgets_end_in_a_choice,
    first_keeps_the_limits,
    pinned_layers_stay,
    interrupted_goes_on,
    choice_is_the_best_that_keeps_all,
    front_is_the_front,
    small_spaces_are_used_up,
    costs_that_are_no_sums_are_kept,
    losses_are_optional,
    lower_limits_and_maximised_costs,
)


def costly() -> list[Problem]:
    """Problems in which the most bits in all layers break a limit that is known without an evaluation."""
    return [
        network(**LENET16, limit=0.4),
        network(**RESNET, limit=0.3),
        network(layers=5, limit=0.6),
        network(**LENET16, limit=0.999999),
        small_arena(network(**LENET16, limit=1.0), 10.0),
        small_arena(network(**LENET16, limit=0.4), 6.0),
    ]


def check_tiny_budgets(name: str, problem: Problem) -> None:
    """Where the most bits cost too much, even one evaluation ends in a choice."""
    assert not problem.cheap_feasible(problem.space.base[None])[0]
    for budget in (1, 2, 3, 5):
        result = run(replace(problem, budget=Budget(budget)), name, seed=0)
        kept = problem.cheap_feasible(result.configs[:1])[0] and result.feasible[result.chosen]
        assert kept, f"{name}: no choice after {budget} evaluations"
        assert len(result.configs) == budget, f"{name}: {len(result.configs)} evaluations of {budget}"


def small_arena(problem: Problem, most: float) -> Problem:
    """With a limit on a cost that is no sum: an arena as large as the two widest activations."""
    bits = np.array(problem.space.choices, dtype=float)[:, 1]
    ram = {"ram_bytes": lambda configs: np.sort(bits[configs], axis=1)[:, -2:].sum(axis=1)}
    limits = [*problem.constraints, Constraint("ram_bytes", max=most, reference=16.0)]
    return replace(problem, others=ram, constraints=limits)


class Counted:
    """An evaluation that records what it was asked for, and fails when told to."""

    def __init__(self, evaluate: Evaluate, fail_after: int | None = None) -> None:
        self.evaluate, self.fail_after = evaluate, fail_after
        self.asked: list[tuple[int, ...]] = []

    def __call__(self, configs: np.ndarray) -> Mapping[str, np.ndarray]:
        if self.fail_after is not None and len(self.asked) + len(configs) > self.fail_after:
            raise KeyboardInterrupt
        self.asked += [tuple(c) for c in configs.tolist()]
        return self.evaluate(configs)


def run_slowly(problem: Problem, name: str) -> SearchResult:
    """Each evaluation takes a second by the clock."""
    now = 0.0

    def slow(configs: np.ndarray) -> Mapping[str, np.ndarray]:
        nonlocal now
        measured = problem.evaluate(configs)
        now += 1.0
        return measured

    with patch("time.perf_counter", lambda: now):
        return run(replace(problem, evaluate=slow), name, seed=0)


def same(a: SearchResult, b: SearchResult) -> bool:
    return (
        np.array_equal(a.configs, b.configs)
        and all(np.array_equal(a.metrics[k], b.metrics[k]) for k in a.metrics)
        and np.array_equal(a.front, b.front)
        and a.chosen == b.chosen
    )
