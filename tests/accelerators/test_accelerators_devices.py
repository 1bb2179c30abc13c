"""One place knows which simulator runs a device; predictors, profiles and specs go through it."""

from dataclasses import replace

import numpy as np
import pytest

from mico_runner import accelerators, hardware, profiling, proxy
from mico_runner.accelerators import ACCELERATORS
from mico_runner.errors import UsageError
from mico_runner.frozen_data import build
from mico_runner.sections import Profile
from mico_runner.testing import check_accelerator
from mico_runner.testing.devices import linear_layers

DEVICES = [name for name in hardware.names() if hardware.load(name).simulated]
SECTION = build(
    Profile,
    {
        "sampler": "lhs+corner",
        "shapes": 6,
        "bits": {"weight": [2, 8], "activation": [4, 8]},
        "kernels": {"linear": {"in_channels": [8, 512], "out_channels": [4, 512]}},
        "repeats": 1,
        "target": "bitfusion",
        "seed": 0,
    },
)


@pytest.mark.parametrize("name", DEVICES)
def test_every_simulated_device_runs_and_explains_itself(name, tmp_path):
    check_accelerator(hardware.load(name).kind, name, tmp_path)


@pytest.mark.parametrize("name", DEVICES)
def test_the_analytical_predictor_is_the_simulator_of_its_device(name):
    device = hardware.load(name)
    truth = accelerators.of(device).cycles(linear_layers())
    measured = linear_layers().assign(latency=3.0 * truth)
    model = proxy.STRATEGIES.get("analytical")(hardware=name).fit(measured, measured["latency"].to_numpy())
    np.testing.assert_allclose(model.predict(linear_layers()), 3.0 * truth, rtol=1e-12)


@pytest.mark.parametrize("name", DEVICES)
def test_a_profile_of_a_simulated_device_holds_its_cycles(name, tmp_path):
    device = hardware.load(name)
    assert device.kind in ACCELERATORS.names()
    rows = profiling.make(replace(SECTION, target=device.kind), device, tmp_path).tables["linear"]
    np.testing.assert_array_equal(accelerators.of(device).cycles(rows), rows["latency_cycles"])


def test_a_device_without_a_simulator_is_refused():
    with pytest.raises(
        UsageError, match="'host' is of kind 'cpu'; allowed: a simulated kind: bitfusion, spatial, systolic"
    ):
        accelerators.of(hardware.load("host"))
