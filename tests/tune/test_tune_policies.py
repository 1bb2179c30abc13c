"""What the policies choose."""

import numpy as np
import pytest

from mico_runner.errors import StepError
from mico_runner.testing.policies import made_up_job
from mico_runner.tune.base import Choices, Outcome, Price
from mico_runner.tune.oracle import best, expectations
from mico_runner.tune.running import recur
from mico_runner.tune.smooth import Smooth
from mico_runner.tune.zeus import Zeus

CHOICES = Choices((8, 16, 32, 64), 32, 10, 250.0)


def outcome(cost, reached=True, epochs=4):
    return Outcome(reached, epochs, cost, cost / epochs, cost)


def regret(job, kind, seed, runs=50):
    price = Price(0.5, job.choices.max_power)
    history = recur(job, kind(job.choices, runs, np.random.default_rng(seed)), price, runs, np.random.default_rng(seed))
    return history.costs().sum() / price(best(expectations(job), price).spent) - runs


def test_the_published_pruning_goes_down_then_up_and_again_from_the_cheapest():
    policy, asked = Zeus(CHOICES, 50, np.random.default_rng(0)), []
    costs = {8: (9.0, False), 16: (3.0, True), 32: (4.0, True), 64: (5.0, True)}
    for _ in range(7):
        asked.append(policy.ask(0))
        policy.tell(asked[-1], outcome(*costs[asked[-1]]))
    assert asked == [32, 16, 8, 64, 16, 32, 64]
    assert policy.chosen() == 16 and policy.ask(7) == 16, "equal costs have no variance"


def test_the_published_policy_stops_at_twice_the_least():
    policy = Zeus(CHOICES, 50, np.random.default_rng(0))
    assert policy.goes_on(32, 9, 1e9)
    policy.tell(32, outcome(4.0))
    assert policy.goes_on(16, 3, 2.0) and not policy.goes_on(16, 4, 2.0)


def test_a_batch_that_costs_much_more_per_epoch_is_left_early():
    policy = Smooth(CHOICES, 50, np.random.default_rng(0))
    policy.ask(0)
    policy.tell(32, outcome(4.0))
    policy.ask(1)
    assert policy.goes_on(16, 0, 0.5) and not policy.goes_on(16, 0, 40.0)


def test_nothing_is_tried_in_the_last_recurrence():
    policy = Smooth(CHOICES, 8, np.random.default_rng(0))
    for i in range(7):
        policy.tell(policy.ask(i), outcome(4.0))
    assert policy.ask(7) == policy.chosen()


@pytest.mark.parametrize(("batch", "shape"), [(512, {}), (32, {"cheapest": 512}), (128, {"steep": 0.5})])
def test_regret_is_less_than_the_published_policys(batch, shape):
    job = made_up_job(batch=batch, **shape)
    ours, theirs = (np.median([regret(job, kind, seed) for seed in range(3)]) for kind in (Smooth, Zeus))
    assert ours < 0.75 * theirs


def test_a_default_that_misses_the_target_ends_the_step():
    job = made_up_job(batch=8)
    with pytest.raises(StepError, match="batch 8, the default, does not reach the target within 60 epochs"):
        regret(job, Smooth, 0)
