"""The contract of tuning policies (`mico_runner.tune.base`)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mico_runner.data.training_traces import Trace
from mico_runner.tune import POLICIES
from mico_runner.tune.base import Price
from mico_runner.tune.oracle import best, expectations
from mico_runner.tune.running import recur
from mico_runner.tune.trace import TraceJob, Wanted

NAMES = {"dataset": "data", "network": "net", "optimizer": "sgd"}


def made_up_trace(seed: int = 0, cheapest: int = 128, steep: float = 1.0) -> Trace:
    """A trace of batches 8 to 1024 and limits of 100 to 250 W, cheapest near a batch; `steep`: how fast the epochs grow beyond it.

    Batch 8 never reaches the target, 1024 in half of its runs.
    """
    rng = np.random.default_rng(seed)
    batches = [2**i for i in range(3, 11)]
    runs, power = [], []
    for batch in batches:
        needed = 10 * (1 + (batch / cheapest) ** steep / 2)
        for run in range(6):
            missed = batch == batches[0] or (batch == batches[-1] and run % 2)
            epochs = None if missed else max(1, round(needed * np.exp(0.07 * rng.standard_normal())))
            runs.append({**NAMES, "batch_size": batch, "target_metric": 0.5, "target_epoch": epochs})
        for limit in (100, 150, 200, 250):
            seconds = (20 + 2000 / batch) * (1 + (120 / limit) ** 2)
            power.append(
                {
                    **NAMES,
                    "batch_size": batch,
                    "power_limit": limit,
                    "time_per_epoch": seconds,
                    "average_power": 0.9 * limit,
                }
            )
    return Trace(
        "made-up",
        pd.DataFrame(runs).astype({"target_epoch": float}),
        pd.DataFrame(power).astype({"power_limit": float}),
    )


def made_up_job(seed: int = 0, batch: int = 512, **shape: float) -> TraceJob:
    """The job of `made_up_trace` with a default batch."""
    return TraceJob(made_up_trace(seed, **shape), Wanted(**NAMES, target=0.5, max_epochs=60, batch=batch))  # type: ignore[arg-type]


def check_policy(name: str, runs: int = 30) -> None:
    """It begins with the default, asks for batches of the job alone, repeats itself with a seed, and learns: it ends cheaper."""
    job = made_up_job()
    price = Price(0.5, job.choices.max_power)

    def history(seed: int):  # type: ignore[no-untyped-def]
        policy = POLICIES.get(name)(job.choices, runs, np.random.default_rng(seed))
        return recur(job, policy, price, runs, np.random.default_rng(seed + 1))

    found = history(0)
    assert found == history(0), "the same seed gives another history"
    assert found.runs[0].batch == job.choices.default, "the first run has another batch than the default"
    assert {run.batch for run in found.runs} <= set(job.choices.batches)
    costs = found.costs()
    assert len(costs) == runs and (costs > 0).all()
    settings = expectations(job)
    least = price(best(settings, price).spent)
    chosen = min(price(s.spent) for s in settings if s.batch == found.batch)
    default = min(price(s.spent) for s in settings if s.batch == job.choices.default)
    assert chosen < default, "what it chooses in the end is no cheaper than the default"
    assert costs[-5:].mean() < 1.5 * least, "it has not settled near the cheapest batch"
