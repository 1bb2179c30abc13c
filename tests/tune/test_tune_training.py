"""Trainings that run here, with a clock and a meter that are made up, and the meters themselves."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from mico_runner.errors import StepError, StepSkipped
from mico_runner.tune import meters
from mico_runner.tune.base import Choices, Price
from mico_runner.tune.running import recur
from mico_runner.tune.smooth import Smooth
from mico_runner.tune.training import TrainingJob

CHOICES = Choices((8, 16, 32), 32, 20, 300.0)


class Machine(meters.Meter):
    """A step takes 1 s at 300 W and 1.5 s at 100 W: the lower limit saves energy, the higher time."""

    name, limits = "made up", (100.0, 300.0)

    def __init__(self):
        self.seconds, self.energy, self.watts, self.closed = 0.0, 0.0, None, False

    def joules(self):
        return self.energy

    def limit(self, watts):
        self.watts = watts

    def step(self, work):
        took = work * (1.0 if self.watts == 300 else 1.5)
        self.seconds, self.energy = self.seconds + took, self.energy + took * self.watts


def job_of(machine, steps=40, needed=3, log=None):
    def train(batch, seed, scale):
        for epoch in range(1, 100):
            for _ in range(steps * 32 // batch):
                machine.step(scale)
                yield None
            if log is not None:
                log.append((batch, epoch))
            yield 0.5 + epoch / (2 * needed)

    return TrainingJob(train, {"scale": 1.0}, CHOICES, 1.0, True, machine, lambda: machine.seconds)


@pytest.mark.parametrize(("eta", "limit"), [(1.0, 100.0), (0.0, 300.0)])
def test_the_limit_is_chosen_inside_the_first_epoch(eta, limit):
    machine = Machine()
    run, price = job_of(machine).start(32, np.random.default_rng(0)), Price(eta, 300.0)
    epoch, rates = run.first(5.0, price, lambda cost: True)
    assert price.cheapest(rates) == limit == machine.watts
    assert rates[300.0].seconds == pytest.approx(40) and rates[100.0].joules == pytest.approx(40 * 150)
    assert not epoch.reached and epoch.spent.joules == machine.energy and epoch.spent.seconds == machine.seconds
    later = run.epoch(limit)
    assert later.spent.joules == pytest.approx(rates[limit].joules) and not later.reached
    assert run.epoch(limit).reached


def test_limits_whose_turn_does_not_come_are_left_out():
    epoch, rates = (
        job_of(Machine(), steps=4).start(32, np.random.default_rng(0)).first(60.0, Price(1.0, 300.0), lambda c: True)
    )
    assert set(rates) == {300.0} and epoch.spent.seconds == pytest.approx(4)


def test_a_training_recurs_until_its_target():
    machine, log = Machine(), []
    job, price = job_of(machine, log=log), Price(0.5, 300.0)
    history = recur(job, Smooth(CHOICES, 4, np.random.default_rng(0)), price, 4, np.random.default_rng(0))
    assert sum(run.joules for run in history.runs) == pytest.approx(machine.energy)
    assert history.runs[0].batch == 32 and log[:3] == [(32, 1), (32, 2), (32, 3)]
    assert all(run.reached for run in history.runs if run.batch == 32)


@pytest.mark.parametrize(("values", "text"), [([0.1], "before any step"), ([None, 0.1], "ended before the target")])
def test_an_entry_that_breaks_the_contract_is_said(values, text):
    job = TrainingJob(lambda batch, seed: iter(values), {}, CHOICES, 1.0, True, Machine(), lambda: 0.0)
    with pytest.raises(StepError, match=text):
        recur(job, Smooth(CHOICES, 2, np.random.default_rng(0)), Price(0.5, 300.0), 2, np.random.default_rng(0))


def package(folder, number, energy):
    place = folder / f"intel-rapl:{number}"
    place.mkdir(parents=True, exist_ok=True)
    values = {"energy_uj": energy, "max_energy_range_uj": 10_000_000, "constraint_0_power_limit_uw": 65_000_000}
    for name, value in values.items():
        (place / name).write_text(f"{value}\n")


def test_rapl_counts_all_packages_past_their_ranges(tmp_path, monkeypatch):
    monkeypatch.setattr(meters, "POWERCAP", tmp_path)
    package(tmp_path, 0, 9_000_000)
    package(tmp_path, 1, 1_000_000)
    (tmp_path / "intel-rapl:0:0").mkdir()
    meter = meters.Rapl()
    assert meter.limits == (130.0,)
    package(tmp_path, 0, 2_000_000)
    package(tmp_path, 1, 1_500_000)
    assert meter.joules() == pytest.approx(3.5)
    assert meter.joules() == pytest.approx(3.5)


def test_a_machine_without_a_meter_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(meters, "POWERCAP", tmp_path)
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(StepSkipped, match=r"no energy can be measured here: NVML: .*; RAPL: no "):
        meters.find()


@pytest.mark.parametrize("allowed", [True, False])
def test_a_gpus_limits_are_those_that_may_be_set(monkeypatch, allowed):
    class NVMLError(Exception):
        pass

    done = []

    def set_limit(gpu, milliwatts):
        if not allowed:
            raise NVMLError("no permission")
        done.append(milliwatts)

    fake = SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByIndex=lambda i: i,
        nvmlDeviceGetTotalEnergyConsumption=lambda gpu: 2500,
        nvmlDeviceGetPowerManagementLimit=lambda gpu: 250_000,
        nvmlDeviceGetName=lambda gpu: "a GPU",
        nvmlDeviceGetPowerManagementLimitConstraints=lambda gpu: (100_000, 300_000),
        nvmlDeviceSetPowerManagementLimit=set_limit,
    )
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    meter = meters.find()
    assert meter.joules() == 2.5 and len(meter.limits) == (9 if allowed else 1)
    meter.limit(meter.limits[0])
    meter.close()
    assert done == ([250_000, 100_000, 250_000] if allowed else [])
