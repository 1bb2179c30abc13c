"""What is best when the whole trace is known: every batch and power limit, enumerated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mico_runner.tune.base import Price, Rate
from mico_runner.tune.trace import TraceJob


@dataclass(frozen=True)
class Expected:
    """Expected seconds and joules until the target is reached at a batch and a power limit (W)."""

    batch: int
    limit: float
    spent: Rate


def expectations(job: TraceJob) -> tuple[Expected, ...]:
    """Every batch and limit by which the target can be reached.

    A run that misses the target costs all epochs until it is given up, and another one is started: with a share p of runs that reach it,
    mean epochs of a run / p.
    """
    found = []
    for batch, epochs in job.epochs.items():
        reached = np.isfinite(epochs)
        if not reached.any():
            continue
        expected = float(np.where(reached, epochs, job.choices.max_epochs).mean() / reached.mean())
        found += [
            Expected(batch, limit, Rate(expected * rate.seconds, expected * rate.joules))
            for limit, rate in job.rates[batch].items()
        ]
    return tuple(found)


def best(settings: Sequence[Expected], price: Price) -> Expected:
    """The cheapest setting; the first of equals."""
    return min(settings, key=lambda setting: price(setting.spent))


def front(settings: Sequence[Expected]) -> tuple[Expected, ...]:
    """Settings that no other beats in seconds or joules without being worse in the other, by ascending seconds. Exact."""
    kept: list[Expected] = []
    for setting in sorted(settings, key=lambda s: (s.spent.seconds, s.spent.joules)):
        if not kept or setting.spent.joules < kept[-1].spent.joules:
            kept.append(setting)
    return tuple(kept)
