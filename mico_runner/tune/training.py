"""A training on this machine as a job.

The user's entry is a generator function of `batch`, `seed` and further parameters. It yields None after every step of the optimiser and, at
the end of an epoch, the value that is to reach the target, a number:

    def train(batch, seed, width=32):
        ...
        while True:
            for x, y in batches:
                ...
                yield None
            yield accuracy()
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from mico_runner.errors import StepError
from mico_runner.tune.base import Choices, Epoch, Job, Policy, Price, Rate, Rates, Run
from mico_runner.tune.meters import Meter

Entry = Callable[..., Iterator[float | None]]


class TrainingJob(Job):
    """Runs the entry, and measures it."""

    def __init__(
        self,
        entry: Entry,
        params: Mapping[str, object],
        choices: Choices,
        target: float,
        higher: bool,
        meter: Meter,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`higher`: whether values from the target up reach it, else from it down; `clock`: seconds."""
        self.choices = choices
        self._entry, self._params, self._meter, self._clock = entry, params, meter, clock
        self._reaches = (lambda value: value >= target) if higher else (lambda value: value <= target)

    def start(self, batch: int, rng: np.random.Generator) -> Run:
        steps = self._entry(batch=batch, seed=int(rng.integers(2**31)), **self._params)
        return _Training(iter(steps), self._reaches, self._meter, self._clock)


class _Training(Run):
    def __init__(
        self,
        steps: Iterator[float | None],
        reaches: Callable[[float], bool],
        meter: Meter,
        clock: Callable[[], float],
    ) -> None:
        self._steps, self._reaches, self._meter, self._clock = steps, reaches, meter, clock

    def first(self, slice_seconds: float | None, price: Price, goes_on: Callable[[float], bool]) -> tuple[Epoch, Rates]:
        """See `Run.first`. How long an epoch is shows at its end alone: slices of None are the default's, and `goes_on` is not asked.

        Limits whose turn had not come when the epoch ended are not among the rates.
        """
        seconds = Policy.SLICE_SECONDS if slice_seconds is None else slice_seconds
        assert seconds is not None
        slices: dict[float, tuple[Rate, int]] = {}
        total, count, value = Rate(0.0, 0.0), 0, None
        for limit in sorted(self._meter.limits, reverse=True):
            spent, steps, value = self._train(limit, seconds)
            total, count = _plus(total, spent), count + steps
            if steps:
                slices[limit] = spent, steps
            if value is not None:
                break
        per_step = {limit: Rate(s.seconds / n, s.joules / n) for limit, (s, n) in slices.items()}
        if not per_step:
            raise StepError("the entry of tune.training yields the end of an epoch before any step (None)")
        if value is None:
            spent, steps, value = self._train(price.cheapest(per_step), None)
            total, count = _plus(total, spent), count + steps
        assert value is not None
        rates = {limit: Rate(count * rate.seconds, count * rate.joules) for limit, rate in per_step.items()}
        return Epoch(total, self._reaches(value)), rates

    def epoch(self, limit: float) -> Epoch:
        spent, _, value = self._train(limit, None)
        assert value is not None
        return Epoch(spent, self._reaches(value))

    def close(self) -> None:
        if close := getattr(self._steps, "close", None):
            close()

    def _train(self, limit: float, seconds: float | None) -> tuple[Rate, int, float | None]:
        """Steps at a power limit for some seconds, or None: to the end of the epoch; at its end the value."""
        self._meter.limit(limit)
        start, joules = self._clock(), self._meter.joules()
        steps, value = 0, None
        while seconds is None or self._clock() - start < seconds:
            try:
                value = next(self._steps)
            except StopIteration:
                raise StepError("the entry of tune.training ended before the target or the last epoch") from None
            if value is not None:
                break
            steps += 1
        return Rate(self._clock() - start, self._meter.joules() - joules), steps, value


def _plus(a: Rate, b: Rate) -> Rate:
    return Rate(a.seconds + b.seconds, a.joules + b.joules)
