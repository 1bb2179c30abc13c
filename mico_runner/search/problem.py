"""What is searched for: metrics of a configuration, those that are free and those that cost an evaluation, objectives, constraints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mico_runner.errors import StepError, UnknownName
from mico_runner.search.rounding import DIGITS, SLACK, quanta, quantum, significant
from mico_runner.search.space import Space
from mico_runner.tasks.base import Measure
from mico_runner.tasks.classification import Classification

QUALITY, LOSS = "quality", "loss"
MEASURED = (QUALITY, LOSS)  # what one evaluation gives
HIGHER_IS_BETTER = (QUALITY,)

Metrics = dict[str, np.ndarray]  # metric -> (P,) float64, in the order of the configurations


@dataclass(frozen=True)
class Cost:
    """A metric that is a sum over the layers: `fixed` + sum of table[layer, choice], in `unit`.

    Both are rounded to whole multiples of `quantum` (`rounding`), so that sums are exact whatever their order.

    Attributes:
        table: (layers, choices) over `Space.choices`; what a layer may not take is never read.
        quanta: (layers, choices) the table as whole numbers of `quantum`.
    """

    table: np.ndarray
    fixed: float = 0.0
    unit: str = ""
    quantum: float = field(init=False, default=1.0)
    quanta: np.ndarray = field(init=False, repr=False, compare=False, default_factory=lambda: np.zeros((0, 0)))

    def __post_init__(self) -> None:
        step = quantum(np.append(self.table, self.fixed))
        counts = quanta(np.asarray(self.table, dtype=np.float64), step)
        derived = {"quantum": step, "quanta": counts, "table": counts * step}
        for name, value in (derived | {"fixed": float(np.rint(self.fixed / step)) * step}).items():
            object.__setattr__(self, name, value)

    def total(self, configs: np.ndarray) -> np.ndarray:
        """(P,) of configurations (P, layers)."""
        total = np.full(len(configs), np.rint(self.fixed / self.quantum))
        for row, column in zip(self.quanta, configs.T, strict=True):
            total += row.take(column)
        return total * self.quantum


@dataclass(frozen=True)
class Objective:
    """A metric and its better direction ("min" or "max"); by default quality is to be high and anything else low."""

    metric: str
    direction: str = ""

    @property
    def sign(self) -> int:
        """Multiply by it and lower is better."""
        return -1 if (self.direction or ("max" if self.metric in HIGHER_IS_BETTER else "min")) == "max" else 1


@dataclass(frozen=True)
class Constraint:
    """Absolute limits on a metric, inclusive.

    Attributes:
        reference, relative_to: for messages: the value that the limit was derived from and its name (20510.0, "int8").
    """

    metric: str
    max: float = np.inf
    min: float = -np.inf
    reference: float | None = None
    relative_to: str = ""

    def limit(self, value: float) -> float:
        """The bound that a value misses, else the first one that there is."""
        return self.min if value < self.min or not np.isfinite(self.max) else self.max

    def violation(self, values: np.ndarray) -> np.ndarray:
        """(P,) distance to the limit as a share of it; 0 where the limit is kept, up to `rounding.SLACK`."""
        above, below = values - self.max, self.min - values
        worst = np.maximum(above, below) / max(abs(self.max if np.isfinite(self.max) else self.min), 1e-300)
        return np.where(worst > SLACK, worst, 0.0)


@dataclass(frozen=True)
class Budget:
    """Distinct configurations that may be evaluated, and seconds that their evaluation may take together (None: no limit)."""

    evaluations: int
    seconds: float | None = None


@dataclass(frozen=True)
class Problem:
    """A search problem.

    Attributes:
        space: the configurations.
        evaluate: the expensive part: population (P, layers) -> {"quality": (P,), "loss": (P,) optional}. More quality is better
            (`Measure.goodness`). A smooth loss from the same evaluation guides `exact` better than a quality that is discrete.
            Called for `batch` configurations at a time, each distinct one once.
        objectives: the most important first.
        costs: additive metrics: latency, flash_bytes, bops, ...
        others: metrics that are not sums over layers, population (P, layers) -> (P,): ram_bytes. Cheaper than an evaluation, but
            perhaps some milliseconds each: asked for only where needed, and remembered. Where `costs` has the same metric, it is a
            lower bound there: it guides the search, and this decides.
        journal: JSON lines of finished evaluations; a search that finds its own there does not repeat them.
        log: is given a line when the journal is damaged.
        measure: what quality is, for messages.
        tolerance: by how much the first objective of the choice may be worse than the best that was found, for the sake of the next ones.
        curvature: what calibration data tell of the loss without an evaluation, computed once when a searcher asks for it: a matrix H
            (layers * choices, layers * choices), positive semi-definite, with loss(config) - loss(float) ~ x H x / 2 for the indicators
            x of the config, up to a common factor. Its diagonal is each layer's own sensitivity, the rest are interactions.

    Raises:
        UnknownName: an objective or a constraint is on a metric that the problem does not have.
        StepError: a cost table has the wrong shape or a value that is not finite.
    """

    space: Space
    evaluate: Callable[[np.ndarray], Mapping[str, np.ndarray]]
    objectives: list[Objective]
    costs: dict[str, Cost] = field(default_factory=dict)
    others: dict[str, Callable[[np.ndarray], np.ndarray]] = field(default_factory=dict)
    constraints: list[Constraint] = field(default_factory=list)
    budget: Budget = Budget(200)
    journal: Path | None = None
    log: Callable[[str], None] = lambda line: None
    measure: Measure = Classification.MEASURE
    batch: int = 1
    tolerance: float = 0.0
    curvature: Callable[[], np.ndarray] | None = None
    _remembered: dict[tuple[str, bytes], float] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts: list[Objective | Constraint] = [*self.objectives, *self.constraints]
        for part in parts:
            if part.metric not in (*MEASURED, *self.costs, *self.others):
                raise UnknownName("search metric", part.metric, (*MEASURED, *self.costs, *self.others))
        for name, cost in self.costs.items():
            if cost.table.shape != self.space.mask.shape:
                raise StepError(f"cost table of {name}: shape {cost.table.shape}, wanted {self.space.mask.shape}")
            bad = np.argwhere(self.space.mask & ~np.isfinite(cost.table))
            if len(bad):
                layer, choice = bad[0]
                where = f"{self.space.layers[layer]} at {tuple(self.space.choices[choice])}"
                raise StepError(f"cost table of {name}: {cost.table[layer, choice]} for {where}")

    def cost(self, metric: str, configs: np.ndarray) -> np.ndarray:
        """(P,) one additive metric of a population: a table look-up per layer, summed in layer order."""
        return self.costs[metric].total(configs)

    def other(self, metric: str, configs: np.ndarray) -> np.ndarray:
        """(P,) one of `others`; called once per configuration."""
        keys = [(metric, row.tobytes()) for row in configs]
        missing = [i for i, key in enumerate(keys) if key not in self._remembered]
        if missing:
            values = significant(np.asarray(self.others[metric](configs[missing])), DIGITS)
            self._remembered.update((keys[i], float(v)) for i, v in zip(missing, values, strict=True))
        return np.array([self._remembered[key] for key in keys])

    def free(self, configs: np.ndarray) -> Metrics:
        """Every metric that needs no evaluation."""
        metrics = {name: self.cost(name, configs) for name in self.costs}
        return metrics | {name: self.other(name, configs) for name in self.others}

    def violation(self, metrics: Metrics) -> np.ndarray:
        """(P,) sum over the constraints on these metrics of `Constraint.violation`; 0 exactly where all are kept."""
        total = np.zeros(len(next(iter(metrics.values()))))
        for c in self.constraints:
            if c.metric in metrics:
                total += c.violation(metrics[c.metric])
        return total

    @property
    def additive(self) -> list[Constraint]:
        """The constraints on additive metrics."""
        return [c for c in self.constraints if c.metric in self.costs]

    def within(self, configs: np.ndarray) -> np.ndarray:
        """(P,) bool: whether the constraints on additive metrics are kept; fast."""
        good = np.ones(len(configs), dtype=bool)
        for c in self.additive:
            good &= c.violation(self.cost(c.metric, configs)) == 0
        return good

    def cheap_feasible(self, configs: np.ndarray) -> np.ndarray:
        """(P,) bool: whether all constraints that need no evaluation are kept."""
        good = self.within(configs)
        for c in self.constraints:
            if c.metric in self.others and good.any():
                good[good] = c.violation(self.other(c.metric, configs[good])) == 0
        return good

    def affordable_ones(self, configs: np.ndarray, count: int) -> np.ndarray:
        """(k, layers) the first `count` cheap-feasible ones; looks no further than needed, nor than ten times as many."""
        found = configs[:0]
        candidates = configs[self.within(configs)][: 10 * count]
        for start in range(0, len(candidates), max(count, 1)):
            if len(found) >= count:
                break
            part = candidates[start : start + count]
            found = np.concatenate([found, part[self.cheap_feasible(part)]])
        return found[:count]

    def minimised(self, metrics: Metrics) -> np.ndarray:
        """(P, objectives) objective values, lower is better."""
        return np.stack([o.sign * metrics[o.metric] for o in self.objectives], axis=1)

    def limits(self) -> Iterator[tuple[np.ndarray, float]]:
        """The constraints on additive metrics as (table, highest allowed sum over the layers)."""
        for c in self.additive:
            cost = self.costs[c.metric]
            if np.isfinite(c.max):
                yield cost.table, c.max - cost.fixed
            if np.isfinite(c.min):
                yield -cost.table, cost.fixed - c.min

    def unit(self, metric: str) -> str:
        """Unit of a metric, "" when it has none."""
        return self.measure.unit if metric == QUALITY else self.costs[metric].unit if metric in self.costs else ""
