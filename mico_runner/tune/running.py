"""A job that recurs under a policy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mico_runner.errors import StepError
from mico_runner.tune.base import Job, Outcome, Policy, Price, Rate, Rates

TRIES = 20  # runs of one recurrence, as in the published simulation


@dataclass(frozen=True)
class Tried:
    """One run: its recurrence (from 0), batch, power limit (W; None when it ended before one was chosen), what it took and how it ended."""

    recurrence: int
    batch: int
    limit: float | None
    seconds: float
    joules: float
    cost: float
    reached: bool


@dataclass(frozen=True)
class History:
    """All runs in order, the batch that the policy would use from now on, and its power limit."""

    runs: tuple[Tried, ...]
    batch: int
    limit: float

    def costs(self) -> np.ndarray:
        """(recurrences,) cost of each with all of its runs, in joules."""
        total = np.zeros(1 + max(run.recurrence for run in self.runs))
        np.add.at(total, [run.recurrence for run in self.runs], [run.cost for run in self.runs])
        return total


def recur(job: Job, policy: Policy, price: Price, runs: int, rng: np.random.Generator) -> History:
    """Run the job `runs` times, until its target is reached each time.

    Raises StepError: the target is not reached in `TRIES` runs, or not by the default batch in the first one.
    """
    known: dict[int, Rates] = {}
    tried: list[Tried] = []
    for recurrence in range(runs):
        total = 0.0
        for _ in range(TRIES):
            batch = policy.ask(recurrence)
            one, epochs = _run(job, policy, price, batch, recurrence, known, rng)
            total += one.cost
            tried.append(one)
            rates = known.get(batch)
            cost = None if rates is None else price.epoch(rates)
            policy.tell(batch, Outcome(one.reached, epochs, one.cost, cost, total))
            if one.reached:
                break
            if recurrence == 0:
                text = f"batch {batch}, the default, does not reach the target within {job.choices.max_epochs} epochs"
                raise StepError(f"{text}; set a batch that does, more epochs or another target")
        else:
            raise StepError(f"the target was not reached in {TRIES} runs; the last had batch {batch}")
    final = policy.chosen()
    return History(tuple(tried), final, price.cheapest(known[final]))


def _run(
    job: Job,
    policy: Policy,
    price: Price,
    batch: int,
    recurrence: int,
    known: dict[int, Rates],
    rng: np.random.Generator,
) -> tuple[Tried, int]:
    """One run, and its finished epochs; the rates of a batch that is new become known."""
    run = job.start(batch, rng)
    seconds = joules = 0.0
    epochs, reached = 0, False
    limit = price.cheapest(known[batch]) if batch in known else None
    try:
        while not reached and epochs < job.choices.max_epochs:
            if limit is None:
                epoch, rates = run.first(policy.SLICE_SECONDS, price, lambda cost: policy.goes_on(batch, 0, cost))
                known[batch] = rates
                limit = price.cheapest(rates)
            elif policy.goes_on(batch, epochs, price.epoch(known[batch])):
                epoch = run.epoch(limit)
            else:
                break
            seconds, joules = seconds + epoch.spent.seconds, joules + epoch.spent.joules
            if not epoch.finished:
                break
            epochs, reached = epochs + 1, epoch.reached
    finally:
        run.close()
    spent = Rate(seconds, joules)
    return Tried(recurrence, batch, limit, seconds, joules, price(spent), reached), epochs
