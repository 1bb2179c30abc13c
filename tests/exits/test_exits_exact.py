"""The exact choice of exits, margins and clocks is the best of all, which are looked at here one by one."""

from itertools import combinations, product

import numpy as np
import pytest

from mico_runner.exits import exact, nested
from mico_runner.exits.problem import Problem, valued
from mico_runner.hardware import OperatingPoint


def drawn(seed, exits=2, samples=40, levels=3, points=3, tight=1.2):
    """A problem whose later exits are right more often, and are surer where they are right."""
    rng = np.random.default_rng(seed)
    right = rng.random((exits + 1, samples)) < np.linspace(0.6, 0.9, exits + 1)[:, None]
    margins = (rng.integers(0, 60, (exits, samples)) + 40 * right[:-1]).astype(np.int64)
    backbone, heads = rng.uniform(1e3, 1e4, exits + 1), rng.uniform(10, 500, exits)
    clocks = sorted(rng.uniform(1e6, 3e7, points))
    table = tuple(
        OperatingPoint(1.0, hertz, hertz * rng.uniform(1, 2) * 1e-10 * (hertz / 1e6) ** 0.4) for hertz in clocks
    )
    seconds = tight * backbone.sum() / clocks[-1]
    return Problem(margins, right, backbone, heads, table, seconds, float(rng.uniform(0, 10)), levels)


def every_choice(problem):
    for size in range(problem.exits + 1):
        for chosen in combinations(range(problem.exits), size):
            levels = [problem.tried(exit) for exit in chosen]
            for margins in product(*levels):
                for clocks in product(range(len(problem.points)), repeat=size + 1):
                    yield valued(problem, chosen, margins, clocks)


@pytest.mark.parametrize("seed", range(6))
def test_it_is_the_best_of_all(seed):
    problem = drawn(seed, tight=1 + seed)
    found, known = exact.solve(problem), list(every_choice(problem))
    assert found.points == len(known)
    timely = [choice for choice in known if choice.seconds <= problem.seconds]
    limit = 100 * problem.right[-1].mean() - problem.drop - 1e-9
    least = min(choice.joules for choice in timely if choice.accuracy >= limit)
    assert found.best.joules == pytest.approx(least) and found.best in timely and found.best.accuracy >= limit
    for choice in timely:  # the front leaves out none that is better in both
        assert any(f.joules <= choice.joules * (1 + 1e-9) and f.accuracy >= choice.accuracy - 1e-9 for f in found.front)
    energies, accuracies = ([getattr(f, name) for f in found.front] for name in ("joules", "accuracy"))
    assert energies == sorted(energies) and accuracies == sorted(set(accuracies))


@pytest.mark.parametrize("exits", [1, 3])
def test_the_counts_are_those_of_the_samples_one_by_one(exits):
    problem = drawn(3, exits, levels=4)
    chosen = tuple(range(exits))
    levels = [problem.tried(exit) for exit in chosen]
    rights, shares = exact.counted(problem, chosen, levels)
    for index in np.ndindex(rights.shape):
        accuracy, share = problem.judged(chosen, [level[i] for level, i in zip(levels, index, strict=True)])
        assert rights[index] == pytest.approx(accuracy / 100 * 40)
        assert [s[index] for s in shares] == pytest.approx(share * 40)


def test_no_exit_is_a_choice_and_always_keeps_the_limits():
    problem = drawn(0, tight=1.0)
    best = exact.solve(problem).best
    alone = valued(problem, (), (), (len(problem.points) - 1,))
    assert alone.seconds == pytest.approx(problem.seconds) and best.joules <= alone.joules


@pytest.mark.parametrize("seed", range(2))
def test_nested_search_never_finds_less_energy(seed, monkeypatch):
    pytest.importorskip("pygmo")
    monkeypatch.setattr(nested, "INNER", (12, 5))
    problem = drawn(seed, samples=60, levels=4)
    other = nested.solve(problem, seed)
    assert other is not None and other.seconds <= problem.seconds
    assert other.joules >= exact.solve(problem).best.joules * (1 - 1e-9)
