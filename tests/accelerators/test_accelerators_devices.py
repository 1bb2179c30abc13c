"""One place knows which simulator runs a device; predictors, profiles and specs go through it."""

from dataclasses import replace

import numpy as np
import pytest

from mico_runner import accelerators, hardware, profiling, proxy
from mico_runner.accelerators import ACCELERATORS
from mico_runner.errors import UsageError
from mico_runner.frozen_data import build
from mico_runner.kernel_table import kernel_table
from mico_runner.sections import Profile

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


def table():
    shape = {"kind": "linear", "batch": 16, "out_channels": 40, "act_bits": 8, "weight_bits": 4}
    return kernel_table([{**shape, "in_channels": 30 * n} for n in range(1, 9)])


@pytest.mark.parametrize("name", DEVICES)
def test_every_simulated_device_runs_and_explains_itself(name):
    device = hardware.load(name)
    simulator = accelerators.of(device)
    trace = simulator.simulate(table())
    np.testing.assert_array_equal(simulator.cycles(table()), trace["cycles"])
    causes = [c for c in trace if c.endswith("_cycles")]
    assert (trace["cycles"] == trace[causes].sum(axis=1)).all()
    traffic = ["weight_read_bits", "act_read_bits", "output_read_bits", "output_write_bits"]
    assert (trace["dram_bits"] == trace[traffic].sum(axis=1)).all()


@pytest.mark.parametrize("name", DEVICES)
def test_the_analytical_predictor_is_the_simulator_of_its_device(name):
    device = hardware.load(name)
    truth = accelerators.of(device).cycles(table())
    measured = table().assign(latency=3.0 * truth)
    model = proxy.STRATEGIES.get("analytical")(hardware=name).fit(measured, measured["latency"].to_numpy())
    np.testing.assert_allclose(model.predict(table()), 3.0 * truth, rtol=1e-12)


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
