"""Runs an algorithm on a problem: checks that it can be solved, asks, evaluates, tells, then makes the front and the choice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from mico_runner.search import ALGORITHMS
from mico_runner.search.base import Searcher
from mico_runner.search.evaluator import Evaluator
from mico_runner.search.feasibility import explain, feasible_start, none_found
from mico_runner.search.front import front
from mico_runner.search.problem import Budget, Metrics, Problem
from mico_runner.search.uniform import uniforms

Progress = Callable[..., Iterable[int]]  # as `StepContext.progress`


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        configs: (n, layers) all evaluated configurations in order.
        metrics: every metric of each, measured and free, (n,).
        feasible: (n,) bool, whether all constraints are kept.
        front: indices of the feasible configurations that no feasible one dominates, best first objective first.
        chosen: the feasible configuration best in the first objective, up to the problem's tolerance; then by the next ones, and by order.
        seconds: spent in evaluations, those from the journal included.
    """

    configs: np.ndarray
    metrics: Metrics
    feasible: np.ndarray
    front: np.ndarray
    chosen: int
    seconds: float

    def rows(self, problem: Problem) -> list[dict[str, object]]:
        """A flat dict per evaluated configuration: order, "<layer>.weight_bits", "<layer>.activation_bits", metrics, flags."""
        on_front = set(self.front.tolist())
        rows = []
        for i, config in enumerate(self.configs):
            row: dict[str, object] = {"evaluation": i}
            for layer, bits in problem.space.decode(config).items():
                row |= {f"{layer}.weight_bits": bits.weight, f"{layer}.activation_bits": bits.activation}
            row |= {name: float(values[i]) for name, values in self.metrics.items()}
            rows.append(row | {"feasible": bool(self.feasible[i]), "front": i in on_front, "chosen": i == self.chosen})
        return rows


def run(
    problem: Problem,
    algorithm: str,
    params: Mapping[str, object] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> SearchResult:
    """Search with one algorithm until the budget is spent or nothing is left to try.

    Raises:
        InfeasibleError: the cost constraints exclude every configuration (found before the budget is touched), or no
            configuration evaluated keeps all constraints.
        UnknownName: no such algorithm.
    """
    rng = np.random.default_rng(seed)
    evaluator = _evaluator(problem, progress, algorithm)
    start = _feasible_start(problem, evaluator, rng)
    searcher: Searcher = ALGORITHMS.get(algorithm)(problem, start, rng, **(params or {}))
    while evaluator.left:
        asked = searcher.ask(evaluator.left)
        if not len(asked):
            break
        _check(searcher, asked, evaluator.left, algorithm)
        searcher.tell(*evaluator(asked))
    return summarise(problem, searcher.configs, searcher.metrics, evaluator.seconds)


def enumerate_all(problem: Problem, progress: Progress | None = None) -> SearchResult:
    """Every configuration within the cost constraints, whatever the budget: the truth that `regret` compares with.

    Raises:
        InfeasibleError: as `run`.
        StepError: the space is too large.
    """
    everything = problem.space.enumerate()
    cheap = everything[problem.cheap_feasible(everything)]
    evaluator = _evaluator(replace(problem, budget=Budget(max(len(cheap), 1))), progress, "enumerate")
    _feasible_start(problem, evaluator, np.random.default_rng(0))
    return summarise(problem, *evaluator(cheap), evaluator.seconds)


def with_uniforms(problem: Problem, found: SearchResult) -> SearchResult:
    """The result with uniform bits evaluated as well, beyond the budget: whatever they are worth, the choice is no worse.

    They come last, in the order of `uniform.uniforms`; those that the search evaluated itself are not repeated.
    """
    observed = {row.tobytes() for row in found.configs}
    simple = np.array([row for row in uniforms(problem) if row.tobytes() not in observed], dtype=np.int64)
    if not len(simple):
        return found
    evaluator = Evaluator(replace(problem, budget=Budget(len(simple))))
    configs, metrics = evaluator(simple)
    together = {name: np.concatenate([values, metrics[name]]) for name, values in found.metrics.items()}
    return summarise(problem, np.concatenate([found.configs, configs]), together, found.seconds + evaluator.seconds)


def regret(problem: Problem, found: SearchResult, truth: SearchResult) -> float:
    """Best feasible first objective there is minus the best found, in its unit (points of quality); 0 when the search was perfect."""
    o = problem.objectives[0]
    return (
        float(o.sign * (found.metrics[o.metric][found.chosen] - truth.metrics[o.metric][truth.chosen])) + 0.0
    )  # no minus zero


def summarise(problem: Problem, configs: np.ndarray, metrics: Metrics, seconds: float) -> SearchResult:
    """Front and choice among what was evaluated. Raises InfeasibleError when none of it is feasible."""
    feasible = problem.violation(metrics) == 0 if len(configs) else np.zeros(0, dtype=bool)
    if not feasible.any():
        raise none_found(problem, configs, metrics)
    inside = np.flatnonzero(feasible)
    best = inside[front(problem.minimised(metrics)[inside])]
    return SearchResult(configs, metrics, feasible, best, _chosen(problem, metrics, best), seconds)


def _chosen(problem: Problem, metrics: Metrics, front: np.ndarray) -> int:
    """The best of a front, or the one that is best in the next objectives among those within the problem's tolerance of it."""
    values = problem.minimised(metrics)[front]
    within = np.flatnonzero(values[:, 0] <= values[0, 0] + problem.tolerance)
    order = np.lexsort((values[within, 0], *values[within, :0:-1].T))
    return int(front[within[order[0]]])


def _evaluator(problem: Problem, progress: Progress | None, name: str) -> Evaluator:
    if progress is None:
        return Evaluator(problem)
    total = problem.budget.evaluations
    ticks = iter(progress(range(total), total=total, desc=name))
    return Evaluator(problem, lambda: next(ticks, None))


def _feasible_start(problem: Problem, evaluator: Evaluator, rng: np.random.Generator) -> np.ndarray:
    """A configuration within the cost constraints. Raises InfeasibleError when there is none."""
    config = feasible_start(problem, rng)
    if config is None:
        raise explain(problem, evaluator.evaluate)
    return config


def _check(searcher: Searcher, asked: np.ndarray, left: int, algorithm: str) -> None:
    """An algorithm that breaks its contract is a mistake in its code: it would waste the budget or never end."""
    if len(asked) > left or not searcher.problem.space.contains(asked).all() or len(searcher.new(asked)) < len(asked):
        raise RuntimeError(f"search algorithm {algorithm!r} asked for too many, unknown or repeated configurations")
    if not len(searcher.configs) and not searcher.problem.cheap_feasible(asked[:1])[0]:
        raise RuntimeError(
            f"search algorithm {algorithm!r} asked first for a configuration beyond the cost constraints"
        )
