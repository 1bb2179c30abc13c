"""Whether the constraints can be met at all: exact for additive metrics, before any budget is spent."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mico_runner.amounts import apart
from mico_runner.errors import StepError
from mico_runner.search.milp import allocate
from mico_runner.search.problem import QUALITY, Constraint, Metrics, Problem
from mico_runner.search.sampling import repair
from mico_runner.search.space import describe

Evaluate = Callable[[np.ndarray], dict[str, float]]  # measured metrics of one configuration

_TRIES = 1_000  # configurations looked at before constraints on non-additive metrics are given up: each may take milliseconds


class InfeasibleError(StepError):
    """No configuration meets the constraints, or the search found none; the message says what can be reached at which price.

    Attributes:
        config: (layers,) the configuration that comes nearest, None without one.
    """

    def __init__(self, message: str, config: np.ndarray | None = None) -> None:
        super().__init__(message)
        self.config = config


def feasible_start(problem: Problem, rng: np.random.Generator) -> np.ndarray | None:
    """(layers,) a configuration well within the constraints that need no evaluation; None when there is none.

    Proven by integer programming for additive metrics. With others (RAM) it is proven where the space can be enumerated;
    in a larger one None means that none was found among many.
    """
    middle = _inside(problem)
    if middle is None:
        return None
    narrow = np.tile([bits.activation for bits in problem.space.choices], (len(problem.space.layers), 1)).astype(float)
    narrowest = allocate(problem.space, narrow, problem.limits())  # fewest activation bits: little RAM
    small = problem.space.size <= _TRIES
    rest = problem.space.enumerate() if small else repair(problem, problem.space.sample(_TRIES, rng), middle, rng)
    for candidates in (middle[None], middle[None][:0] if narrowest is None else narrowest[None], rest):
        kept: np.ndarray = candidates[problem.cheap_feasible(candidates)]
        if len(kept):
            first: np.ndarray = kept[0]
            return first
    return None


def explain(problem: Problem, evaluate: Evaluate) -> InfeasibleError:
    """The error for a problem without a `feasible_start`; evaluates the configuration that comes nearest."""
    additive = problem.additive
    for c in additive:
        best = _extreme(problem, c)
        if c.violation(problem.cost(c.metric, best[None]))[0] > 0:
            return _out_of_reach(problem, c, best, "", evaluate)
    if len(additive) > 1 and _inside(problem) is None:
        return _jointly(problem, additive, evaluate)
    others = " and ".join(_wanted(problem, c) for c in problem.constraints if c.metric in problem.others)
    how = "of all" if problem.space.size <= _TRIES else f"of {_TRIES:,} tried"
    return InfeasibleError(f"none {how} configurations within the other cost constraints has {others}; relax it")


def none_found(problem: Problem, configs: np.ndarray, metrics: Metrics) -> InfeasibleError:
    """The error for a search whose evaluations all miss a constraint: the nearest one, and each constraint by itself."""
    if not len(configs):
        return InfeasibleError("the search budget allowed no evaluation")
    cheap = problem.cheap_feasible(configs)
    candidates = np.flatnonzero(cheap) if cheap.any() else np.arange(len(configs))
    nearest = candidates[np.argmin(problem.violation({k: v[candidates] for k, v in metrics.items()}))]
    missed = [c for c in problem.constraints if c.violation(metrics[c.metric][[nearest]])[0] > 0]
    found = {c: float(metrics[c.metric][nearest]) for c in missed}
    text = "; ".join(
        f"{_wanted(problem, c, v)} is missed with {_amount(problem, c, v, c.limit(v))}" for c, v in found.items()
    )
    bits = describe(problem.space.decode(configs[nearest]))
    within = " that keep the cost constraints" if cheap.any() else ""
    return InfeasibleError(
        f"no configuration that meets all constraints was found in {len(configs)} evaluations; "
        f"nearest of those{within}: {text} ({bits}). Relax that constraint, or raise the budget",
        configs[nearest],
    )


def _inside(problem: Problem) -> np.ndarray | None:
    """Within all additive constraints, with as much room as there is; None when they exclude each other."""
    limits = list(problem.limits())
    if not limits:
        return problem.space.base
    allowed = problem.space.mask
    table = sum(t / max(np.ptp(np.where(allowed, t, t[allowed].max())), 1e-300) for t, _ in limits)
    excluded: list[np.ndarray] = []
    while (config := allocate(problem.space, table, limits, np.array(excluded))) is not None:
        if problem.within(config[None])[0]:
            return config
        excluded.append(config)  # beyond a limit by less than the solver's tolerance
    return None


def _extreme(problem: Problem, c: Constraint) -> np.ndarray:
    """The configuration that does most for one additive constraint: the best choice of each layer by itself."""
    sign = 1 if np.isfinite(c.max) else -1
    config: np.ndarray = np.where(problem.space.mask, sign * problem.costs[c.metric].table, np.inf).argmin(axis=1)
    return config


def _jointly(problem: Problem, additive: list[Constraint], evaluate: Evaluate) -> InfeasibleError:
    """Each can be met, all together can not: what the first reaches while the others are kept."""
    for c in additive:
        rest = [other for other in additive if other is not c]
        limits = list(Problem(problem.space, problem.evaluate, [], problem.costs, {}, rest).limits())
        sign = 1 if np.isfinite(c.max) else -1
        best = allocate(problem.space, sign * problem.costs[c.metric].table, limits)
        if best is not None:
            kept = " while " + " and ".join(_wanted(problem, other) for other in rest)
            return _out_of_reach(problem, c, best, kept, evaluate)
    wanted = ", ".join(_wanted(problem, c) for c in additive)
    return InfeasibleError(f"no configuration keeps all of: {wanted}; not even without one of them. Relax at least two")


def _out_of_reach(problem: Problem, c: Constraint, best: np.ndarray, kept: str, evaluate: Evaluate) -> InfeasibleError:
    value = float(problem.cost(c.metric, best[None])[0])
    word = "lowest" if np.isfinite(c.max) else "highest"
    return InfeasibleError(
        f"constraint {_wanted(problem, c, value)} cannot be met{kept}: the {word} reachable {c.metric} is "
        f"{_amount(problem, c, value, c.limit(value))}, with {describe(problem.space.decode(best))}; {_price(problem, best, evaluate)}",
        best,
    )


def _price(problem: Problem, config: np.ndarray, evaluate: Evaluate) -> str:
    """What a configuration costs in quality, against the constraint's reference, else against the most bits."""
    measure, quality = problem.measure, evaluate(config)[QUALITY]
    limits = [c for c in problem.constraints if c.metric == QUALITY]
    against = [(c.reference, c.relative_to) for c in limits if c.reference is not None]
    if against:
        reference, name = against[0]
    else:
        reference, name = evaluate(problem.space.base)[QUALITY], "at the most bits"
    found, before = (measure.text(measure.goodness(value)) for value in (quality, reference))
    drop = f"{reference - quality:.2f}" if measure.unit == "%" else f"{reference - quality:.4g}"
    side = "below" if measure.higher else "above"
    points = f"{drop} {measure.points}".rstrip()
    return f"its {measure.name} is {found}, {points} {side} the {before} {name}"


def _wanted(problem: Problem, c: Constraint, beside: float | None = None) -> str:
    """`latency <= 0.83 x int8 (17,040 cycles)`, in as many digits as tell the limits from the value `beside` them."""
    name, signs = c.metric, ("<=", ">=")
    if c.metric == QUALITY:  # of which more is better, whatever it is made of
        name, signs = problem.measure.name, signs if problem.measure.higher else (">=", "<=")
    limits = [(sign, v) for sign, v in zip(signs, (c.max, c.min), strict=True) if np.isfinite(v)]
    return " and ".join(f"{name} {sign} {_amount(problem, c, v, beside)}" for sign, v in limits)


def _amount(problem: Problem, c: Constraint, value: float, beside: float | None = None) -> str:
    """`0.83 x int8 (17,040 cycles)`; qualities are differences, not ratios."""
    unit, reference = problem.unit(c.metric), c.reference
    if c.metric == QUALITY:
        shown = problem.measure.goodness
        value, beside = shown(value), None if beside is None else shown(beside)
        reference = None if reference is None else shown(reference)
    absolute = f"{apart(value, beside, lambda v: f'{v:,.0f}' if abs(v) >= 1e4 else f'{v:.4g}')} {unit}".strip()
    if reference is None:
        return absolute
    if c.metric == QUALITY:
        form = "{:+.2f}" if unit == "%" else "{:+.3g}"
        difference = apart(value - reference, None if beside is None else beside - reference, form.format)
        return f"{absolute} ({c.relative_to} {difference})"
    share = apart(value / reference, None if beside is None else beside / reference, "{:.4g}".format)
    return f"{share} x {c.relative_to} ({absolute})"
