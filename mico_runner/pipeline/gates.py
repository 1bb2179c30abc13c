"""Gates: bounds that a spec sets for metrics; a broken one ends `mico-run` with exit code 3."""

from __future__ import annotations

import fnmatch
import operator
from dataclasses import dataclass

from mico_runner.amounts import apart
from mico_runner.errors import did_you_mean
from mico_runner.steps.base import Metric


@dataclass(frozen=True)
class BrokenGate:
    """A metric outside its bound; `value` is None where no metric of the run has the gate's name."""

    gate: str
    metric: str | None = None
    value: float | None = None
    unit: str = ""
    bound: str = ""  # "min" or "max"
    limit: float | None = None
    hint: str = ""  # the nearest name

    def __str__(self) -> str:
        if self.metric is None:
            return f"{self.gate}: no such metric in this run{self.hint}"
        return f"{self.metric} is {self.found}; {self.bound} {self.allowed}"

    @property
    def found(self) -> str:
        """The value with its unit, in as many digits as tell it from the limit."""
        return f"{_digits(self.value, self.limit)} {self.unit}"

    @property
    def allowed(self) -> str:
        """The limit, in as many digits as tell it from the value."""
        return _digits(self.limit, self.value)


def _digits(value: float | None, other: float | None) -> str:
    if value is None:
        raise ValueError("a gate without a metric has neither value nor limit")
    return apart(value, other, "{:.6g}".format)


_HOLDS = {"min": operator.ge, "max": operator.le}  # false for NaN: it breaks every gate


def broken_gates(gates: dict[str, dict[str, float] | None], metrics: dict[str, Metric]) -> list[BrokenGate]:
    """One entry per metric and bound that does not hold, and per gate that no metric matches. Names may hold `*`.

    A gate that is None is one that the spec has removed.
    """
    broken = []
    for gate, bounds in gates.items():
        if bounds is None:
            continue
        names = matches(gate, metrics)
        if not names:
            broken.append(BrokenGate(gate, hint=did_you_mean(gate, metrics).rstrip(";")))
        for name in names:
            value = metrics[name].value
            for bound, limit in bounds.items():
                if limit is not None and not _HOLDS[bound](value, limit):
                    broken.append(BrokenGate(gate, name, value, metrics[name].unit, bound, limit))
    return broken


def matches(gate: str, metrics: dict[str, Metric]) -> list[str]:
    """The metrics that a gate speaks of, sorted."""
    return [gate] if gate in metrics else sorted(fnmatch.filter(metrics, gate))


def table(broken: list[BrokenGate]) -> str:
    """The broken gates as text, a line each."""
    from tabulate import tabulate

    body = [
        (g.metric, g.found, f"{g.bound} {g.allowed}") if g.metric else (g.gate, "no such metric in this run", "")
        for g in broken
    ]
    return tabulate(body, ["broken gate", "value", "allowed"], disable_numparse=True)
