"""Engines on an FPGA: the optimum is that of brute force, and the model's figures are as stated."""

import numpy as np
import pytest
import yaml

from mico_runner import cli, hardware
from mico_runner.codesign import engines
from mico_runner.hardware import fpga
from mico_runner.kernel_table import kernel_table

DEVICE = hardware.load("zu3eg")
NOISE = {(8, 8): 1.0, (4, 4): 20.0, (8, 4): 11.0}
ROWS = [
    {"kind": "conv2d", "in_channels": 3, "out_channels": 16, "in_h": 18, "in_w": 18, "kernel_h": 3, "kernel_w": 3},
    {"kind": "conv2d", "in_channels": 16, "out_channels": 16, "in_h": 18, "in_w": 18, "kernel_h": 3, "kernel_w": 3}
    | {"groups": 16},
    {"kind": "conv2d", "in_channels": 16, "out_channels": 40, "in_h": 16, "in_w": 16},
    {"kind": "linear", "in_channels": 640, "out_channels": 10},
]
TABLE = kernel_table([row | {"act_bits": 8, "weight_bits": 8} for row in ROWS])


def choices(bits=((8, 8), (4, 4), (8, 4))):
    return engines.Choices((2, 8, 16), (1, 8, 32), (1, 4), (4, 32), bits)


def test_layers_go_to_engines_of_their_kind():
    assert list(engines.engine_of(TABLE)) == ["window", "depthwise", "pointwise", "pointwise"]


@pytest.mark.parametrize("share", [0.4, 0.9, 1.6, 12])
@pytest.mark.parametrize("noise", [4.0, 30.0, 80.0])
def test_the_optimum_is_that_of_brute_force(share, noise):
    """Over 108 x 36 x 108 = 4e5 designs; blocks are scaled so that some of them bind."""
    figures = hardware.read("zu3eg")
    for name in engines.RESOURCES:
        figures["parameters"][name]["value"] = int(figures["parameters"][name]["value"] * share / 2)
    device = hardware.load(figures)
    found = engines.engines(TABLE, device, choices(), NOISE)
    assert [len(each.cycles) for each in found] == [36, 108, 108]
    cycles, noises, use = (
        np.add.outer(np.add.outer(a, b), c)
        for a, b, c in (
            [each.cycles for each in found],
            [each.noise for each in found],
            [each.use[:, 0] for each in found],
        )
    )
    kept = (noises <= noise) & (use <= device.value("dsp"))
    for number, name in enumerate(engines.RESOURCES[1:], start=1):
        a, b, c = (each.use[:, number] for each in found)
        kept &= np.add.outer(np.add.outer(a, b), c) <= device.value(name)
    best = engines.solve(found, device, noise)
    if not kept.any():
        assert best is None
    else:
        assert best.value == cycles[kept].min() and best.gap == 0


def test_cycles_and_blocks_are_those_of_the_formulas():
    window = engines.engines(TABLE.iloc[:1], DEVICE, engines.Choices((3,), (8,), (4,), (4,), ((8, 8), (4, 4))), NOISE)[
        0
    ]
    assert list(window.cycles) == [2 * 9 * 64, 2 * 9 * 64]  # ceil(3 / 3) ceil(16 / 8) taps ceil(256 / 4)
    assert list(window.use[:, 0]) == [48, 24]  # 96 products, 2 or 4 to a DSP
    assert list(window.use[:, 1]) == [3 + 2 + 4, 2 + 1 + 2]  # ports of 72 bits: weights, inputs, outputs
    assert list(window.use[:, 2]) == [4000 + 96 * 16 + 32 * 32, 4000 + 96 * 8 + 32 * 32]
    slow = hardware.read("zu3eg")
    slow["parameters"]["dram_bits_per_cycle"]["value"] = 1.0
    moved = engines.engines(TABLE.iloc[:1], hardware.load(slow), choices(((8, 8),)), NOISE)[0]
    assert min(moved.cycles) == 8 * (16 * 27 + 3 * 18 * 18 + 16 * 256)


def test_a_profile_of_the_kind_states_all_its_figures():
    figures = hardware.read("zu3eg")
    del figures["parameters"]["lut"]
    with pytest.raises(hardware_error()) as error:
        hardware.load(figures)
    assert "missing, needed by kind fpga: lut" in str(error.value)
    assert set(DEVICE.parameters) == set(fpga.PARAMETERS) and not DEVICE.simulated


def hardware_error():
    from mico_runner.errors import UsageError

    return UsageError


def test_a_spec_runs(tmp_path):
    pytest.importorskip("torch")
    section = {
        "engines": {"channels": [4, 16], "filters": [8, 32], "pixels": [1, 4], "weight_kib": [16]},
        "networks": {"lenet": {"input": [1, 28, 28], "classes": 10}},
        "bits": {"weight_bits": [4, 8], "activation_bits": [8], "noise_of": [4, 8]},
    }
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump({"spec_version": 1, "name": "fpga", "hardware": "zu3eg", "codesign": section}))
    assert cli.main(["run", str(path), "--outputs", str(tmp_path / "out"), "--quiet"]) == 0
    text = (tmp_path / "out/fpga/latest/metrics.json").read_text()
    assert '"codesign.lenet.free.cycles"' in text
