"""How good a choice provably is: the best that any bits can be under the additive model, and how wrong that model is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mico_runner.search import milp
from mico_runner.search.problem import LOSS, MEASURED, QUALITY, Problem
from mico_runner.search.running import SearchResult
from mico_runner.search.surrogate import AdditiveSurrogate, loss_limit

_FOLDS = 5
_LEAST = 2 * _FOLDS  # evaluations that a model can be judged by


@dataclass(frozen=True)
class Certificate:
    """A proof under a model, and the model's error.

    Attributes:
        metric: what the bound is on: the loss, or the cost that is the most important objective.
        value: of the chosen configuration, under the model.
        bound: no configuration within the limits is better under the model, as the solver proves.
        error: root mean square error of the model's loss, each evaluation predicted without a fifth of them that holds it.
        points: what that is in quality.
        slope: of quality over loss among what was evaluated.
        effects, std: (layers, choices) what each layer adds to the loss under the model.
    """

    metric: str
    value: float
    bound: float
    error: float
    points: float
    slope: float
    effects: np.ndarray
    std: np.ndarray

    @property
    def gap(self) -> float:
        """By how large a share of the bound the choice may be improved under the model."""
        return max(self.value - self.bound, 0.0) / max(abs(self.bound), 1e-300)


def certify(problem: Problem, result: SearchResult) -> Certificate | None:
    """None where evaluations give no loss, are fewer than ten, or the most important objective is no sum."""
    first, limits = problem.objectives[0], list(problem.limits())
    summed = first.metric in problem.costs or first.metric in MEASURED
    if LOSS not in result.metrics or len(result.configs) < _LEAST or not summed:
        return None
    loss, chosen = result.metrics[LOSS], result.configs[result.chosen]
    model = AdditiveSurrogate(problem.space)
    model.fit(result.configs, loss)
    if first.metric in problem.costs:
        cost = problem.costs[first.metric]
        table, offset = first.sign * cost.table, first.sign * cost.fixed
        highest = loss_limit(problem, result.metrics)
        limits += [] if highest is None else [(model.mean, highest - model.base_loss)]
    else:
        table, offset = model.mean, model.base_loss
    best = milp.solve(problem.space, table, limits)
    if best is None:  # the model forbids all that was measured to be allowed
        return None
    value = float(table[np.arange(len(chosen)), chosen].sum())
    error = _error(problem, result.configs, loss)
    slope = float(np.polyfit(loss, result.metrics[QUALITY], 1)[0]) if np.ptp(loss) > 0 else 0.0
    metric = first.metric if first.metric in problem.costs else LOSS
    proven = offset + value, offset + min(best.bound, value)
    return Certificate(metric, *proven, error, abs(slope) * error, slope, model.mean, model.std)


def _error(problem: Problem, configs: np.ndarray, loss: np.ndarray) -> float:
    missed = np.empty(len(loss))
    fold = np.arange(len(loss)) % _FOLDS
    for i in range(_FOLDS):
        model = AdditiveSurrogate(problem.space)
        model.fit(configs[fold != i], loss[fold != i])
        missed[fold == i] = model.predict(configs[fold == i]) - loss[fold == i]
    return float(np.sqrt((missed**2).mean()))
