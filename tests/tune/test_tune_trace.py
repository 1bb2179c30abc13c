"""Recorded trainings as jobs, and what is best when all of them are known."""

import itertools
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mico_runner.data.training_traces import load_trace, read_trace
from mico_runner.errors import UsageError
from mico_runner.testing.policies import NAMES, made_up_job, made_up_trace
from mico_runner.tune.base import Price, Rate
from mico_runner.tune.oracle import Expected, best, expectations, front
from mico_runner.tune.trace import TraceJob, Wanted

PRICE = Price(0.5, 250.0)


def always(cost):
    return True


def test_a_run_costs_its_epochs_and_the_profile_lies_inside_the_first():
    job, rng = made_up_job(), np.random.default_rng(0)
    rates = job.rates[128]
    limit = PRICE.cheapest(rates)
    even, found = job.start(128, rng).first(None, PRICE, always)
    assert found == rates
    assert even.spent.joules == pytest.approx(np.mean([rate.joules for rate in rates.values()]))
    short, _ = job.start(128, rng).first(1e-9, PRICE, always)
    assert PRICE(short.spent) == pytest.approx(PRICE(rates[limit]))
    run = job.start(128, rng)
    epoch, _ = run.first(1.0, PRICE, always)
    assert PRICE(rates[limit]) < PRICE(epoch.spent) < PRICE(even.spent)
    epochs = 1
    while not epoch.reached:
        epoch, epochs = run.epoch(limit), epochs + 1
        assert epoch.spent == rates[limit]
    assert epochs in job.epochs[128]


def test_an_epoch_that_is_given_up_costs_its_profile_alone():
    job = made_up_job()
    for seconds, spent in ((None, 0.0), (2.0, 8.0)):
        epoch, _ = job.start(64, np.random.default_rng(0)).first(seconds, PRICE, lambda cost: False)
        assert not epoch.finished and epoch.spent.seconds == pytest.approx(spent)


def test_what_misses_its_target_costs_all_epochs_and_another_run():
    job = made_up_job()
    found = {(s.batch, s.limit): s.spent for s in expectations(job)}
    assert not any(batch == 8 for batch, _ in found), "it never reaches the target"
    epochs = job.epochs[1024]
    reached = epochs[np.isfinite(epochs)]
    expected = (reached.sum() + (len(epochs) - len(reached)) * 60) / len(reached)
    assert found[1024, 100.0].seconds == pytest.approx(expected * job.rates[1024][100.0].seconds)


spent = st.builds(Rate, st.integers(1, 9).map(float), st.integers(1, 9).map(float))


@given(st.lists(spent, min_size=1, max_size=12))
def test_the_front_is_what_nothing_beats(all_spent):
    settings = [Expected(i, 100.0, s) for i, s in enumerate(all_spent)]
    points = {(s.spent.seconds, s.spent.joules) for s in front(settings)}

    def beaten(a):
        return any(b != a and b[0] <= a[0] and b[1] <= a[1] for b in ((s.seconds, s.joules) for s in all_spent))

    assert points == {(s.seconds, s.joules) for s in all_spent if not beaten((s.seconds, s.joules))}
    for eta in (0.0, 0.3, 1.0):
        price = Price(eta, 2.0)
        assert price(best(settings, price).spent) == min(price(s.spent) for s in front(settings))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"dataset": "dta"}, "did you mean 'data / net / sgd'"),
        ({"target": 0.7}, "has no target 0.7; allowed: 0.5"),
        ({"batch": 100}, "has no batch 100; allowed: 8, 16"),
    ],
)
def test_what_the_trace_lacks_is_said(change, text):
    with pytest.raises(UsageError, match=text):
        TraceJob(made_up_trace(), Wanted(**{**NAMES, "target": 0.5, "max_epochs": 60, "batch": 512, **change}))


@pytest.mark.parametrize(
    ("file", "row", "text"),
    [
        ("runs", "data,net,sgd,8,0.5,0", r"runs.csv:3: target_epoch is '0'; allowed: a number from 1"),
        ("runs", "data,net,sgd,8.5,0.5,", r"runs.csv:3: batch_size is '8.5'"),
        ("power", "data,net,sgd,8,100,-1,90", r"power.csv:3: time_per_epoch is '-1'"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, file, row, text):
    places = {name: tmp_path / f"{name}.csv" for name in ("runs", "power")}
    places["runs"].write_text("dataset,network,optimizer,batch_size,target_metric,target_epoch\ndata,net,sgd,8,0.5,\n")
    places["power"].write_text(
        "dataset,network,optimizer,batch_size,power_limit,time_per_epoch,average_power\ndata,net,sgd,8,100,1,90\n"
    )
    read_trace("own", **places)
    with places[file].open("a") as open_file:
        open_file.write(row + "\n")
    with pytest.raises(UsageError, match=text):
        read_trace("own", **places)
    places[file].write_text("dataset,network,optimizer\n")
    with pytest.raises(UsageError, match="column 'batch_size' is missing"):
        read_trace("own", **places)


@pytest.mark.skipif("MICO_DATA_MIRROR" not in os.environ, reason="MICO_DATA_MIRROR is not set")
def test_the_published_savings_are_found():
    """Energy that the best batch and limit save beside the default, of two of the published jobs, by hand from the trace."""
    trace = load_trace("codesign/zeus-v100")
    for names, target, epochs, batch, saving in (
        (("cifar100", "shufflenetv2", "adadelta"), 0.6, 100, 1024, 0.747),
        (("imagenet", "resnet50", "adadelta"), 0.65, 100, 256, 0.238),
    ):
        found = expectations(TraceJob(trace, Wanted(*names, target, epochs, batch)))
        default = next(s for s in found if (s.batch, s.limit) == (batch, 250.0))
        assert 1 - min(s.spent.joules for s in found) / default.spent.joules == pytest.approx(saving, abs=5e-4)
        assert all(a.spent.seconds < b.spent.seconds for a, b in itertools.pairwise(front(found)))
