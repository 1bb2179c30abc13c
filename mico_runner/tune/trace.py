"""A recorded training as a job: each run draws one of the recorded ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mico_runner.data.training_traces import KEY, Trace
from mico_runner.errors import UsageError, did_you_mean
from mico_runner.tune.base import Choices, Epoch, Job, Price, Rate, Rates, Run


@dataclass(frozen=True)
class Wanted:
    """Which recorded training, by the trace's names, to which value of its metric; `batch`: the default size."""

    dataset: str
    network: str
    optimizer: str
    target: float
    max_epochs: int
    batch: int


class TraceJob(Job):
    """A job whose runs are drawn from a trace.

    Attributes:
        epochs: by batch, (runs,) epochs to the target; infinite where it was not reached within `max_epochs`.
        rates: by batch, of an epoch by power limit.
    """

    def __init__(self, trace: Trace, wanted: Wanted) -> None:
        """Raises UsageError: the trace lacks the training, its target, or the default batch."""
        runs, power = (_of(trace, table, wanted) for table in (trace.runs, trace.power))
        reached = np.isclose(runs["target_metric"], wanted.target)
        if not reached.any():
            known = ", ".join(f"{value:g}" for value in sorted(runs["target_metric"].unique()))
            raise UsageError(f"trace {trace.name}: {_named(wanted)} has no target {wanted.target:g}; allowed: {known}")
        runs = runs[reached]
        batches = sorted(set(runs["batch_size"]) & set(power["batch_size"]))
        if wanted.batch not in batches:
            known = ", ".join(map(str, batches)) or "none"
            raise UsageError(f"trace {trace.name}: {_named(wanted)} has no batch {wanted.batch}; allowed: {known}")
        self.choices = Choices(
            tuple(map(int, batches)), wanted.batch, wanted.max_epochs, float(trace.power["power_limit"].max())
        )
        self.epochs: Mapping[int, np.ndarray] = {
            batch: _within(runs.loc[runs["batch_size"] == batch, "target_epoch"], wanted.max_epochs)
            for batch in self.choices.batches
        }
        self.rates: Mapping[int, Rates] = {
            batch: _rates(power[power["batch_size"] == batch]) for batch in self.choices.batches
        }

    def start(self, batch: int, rng: np.random.Generator) -> Run:
        return _Replay(self.rates[batch], float(rng.choice(self.epochs[batch])))


class _Replay(Run):
    def __init__(self, rates: Rates, target: float) -> None:
        """`target`: the epoch at whose end the target is reached."""
        self._rates, self._target, self._done = rates, target, 0

    def first(self, slice_seconds: float | None, price: Price, goes_on: Callable[[float], bool]) -> tuple[Epoch, Rates]:
        rates = self._rates
        even = 1 / len(rates)
        shares = {
            limit: even if slice_seconds is None else min(even, slice_seconds / rate.seconds)
            for limit, rate in rates.items()
        }
        if not goes_on(price.epoch(rates)):
            profiled = Rate(0.0, 0.0) if slice_seconds is None else _sum(rates, shares)
            return Epoch(profiled, reached=False, finished=False), rates
        cheapest = price.cheapest(rates)
        shares[cheapest] += 1 - sum(shares.values())
        self._done = 1
        return Epoch(_sum(rates, shares), self._done >= self._target), rates

    def epoch(self, limit: float) -> Epoch:
        self._done += 1
        return Epoch(self._rates[limit], self._done >= self._target)


def _sum(rates: Rates, shares: Mapping[float, float]) -> Rate:
    return Rate(
        sum(share * rates[limit].seconds for limit, share in shares.items()),
        sum(share * rates[limit].joules for limit, share in shares.items()),
    )


def _rates(power: pd.DataFrame) -> Rates:
    columns = (power[name].to_numpy(float).tolist() for name in ("power_limit", "time_per_epoch", "average_power"))
    return {limit: Rate(seconds, seconds * watts) for limit, seconds, watts in zip(*columns, strict=True)}


def _within(epochs: pd.Series, most: int) -> np.ndarray:
    found = epochs.to_numpy(float)
    return np.where(found <= most, np.ceil(found), np.inf)  # nan, the target was not reached, is not below either


def _of(trace: Trace, table: pd.DataFrame, wanted: Wanted) -> pd.DataFrame:
    found = table[np.logical_and.reduce([table[key] == getattr(wanted, key) for key in KEY])]
    if found.empty:
        known = sorted({" / ".join(row) for row in table[list(KEY)].itertuples(index=False)})
        near = did_you_mean(_named(wanted), known).rstrip(";")
        raise UsageError(f"trace {trace.name} has no {_named(wanted)}{near}; allowed: {', '.join(known)}")
    return found


def _named(wanted: Wanted) -> str:
    return " / ".join(getattr(wanted, key) for key in KEY)
