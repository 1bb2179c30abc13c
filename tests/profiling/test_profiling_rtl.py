"""Kernels timed on RTL: deterministic, fewer cycles for fewer bits, only on devices with a core."""

from __future__ import annotations

import importlib.util
import shutil

import numpy as np
import pandas as pd
import pytest

from mico_runner import data, hardware, profiling
from mico_runner.errors import UsageError
from mico_runner.frozen_data import build
from mico_runner.kernel_table import SHAPE
from mico_runner.profiling.samplers import SAMPLERS
from mico_runner.sections import Profile
from mico_runner.targets import cores

TOOLS = ("verilator", "riscv64-unknown-elf-gcc", "g++", "make")
PACKAGES = sorted({core.package for core in cores.RTL.values()})
needs_rtl = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)) or not all(map(importlib.util.find_spec, PACKAGES)),
    reason=f"needs verilator, a RISC-V gcc, {' and '.join(PACKAGES)} (make setup-rtl)",
)
SECTION = build(
    Profile,
    {
        "target": "rtl",
        "sampler": "lhs",
        "shapes": 3,
        "bits": {"weight": [2, 8], "activation": [2, 8]},
        "kernels": {
            "conv2d": {"in_channels": [4, 8], "out_channels": [4, 8], "in_h": [5, 8], "kernel": [3], "stride": [1]},
            "linear": {"in_channels": [64, 96], "out_channels": [8, 16]},
        },
        "repeats": 1,
        "seed": 0,
    },
)


@needs_rtl
@pytest.mark.parametrize("device", ["vexriscv-full", "ibex"])
def test_the_same_spec_gives_the_same_bytes(tmp_path, device):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        profiling.make(SECTION, hardware.load(device), tmp_path / "work").save(tmp_path / name)
    for kind in ("conv2d", "linear"):
        assert (tmp_path / "a" / f"{kind}.csv").read_bytes() == (tmp_path / "b" / f"{kind}.csv").read_bytes()
        table = pd.read_csv(tmp_path / "a" / f"{kind}.csv")
        assert len(table) == 12
        cycles = table.groupby(["act_bits", "weight_bits"])["latency_cycles"].sum()
        assert cycles[2, 2] < min(cycles[2, 8], cycles[8, 2]) and cycles[2, 2] < cycles[8, 8]


def test_a_device_without_a_core_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="hardware 'host' names no core"):
        profiling.make(SECTION, hardware.load("host"), tmp_path)


@pytest.mark.parametrize("core", ["full", "fullcfu", "lite"])
def test_the_shipped_profiles_cover_every_pair_of_bits(core):
    for kind in ("conv2d", "linear"):
        table = data.load_profile([f"vexriscv-{core}/{kind}"])
        shapes = table.groupby([c for c in table.columns if c not in ("act_bits", "weight_bits", "latency", "dataset")])
        assert len(shapes) >= 40 and (shapes.size() == 16).all()
        mean = table.groupby(["act_bits", "weight_bits"])["latency"].mean()
        assert mean[1, 1] < mean[2, 2] < mean[4, 4] < mean[8, 8]
        assert mean[8, 4] < mean[8, 8] and mean[4, 8] < mean[8, 8]


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["conv2d", "linear"])
def test_no_layer_of_the_model_zoo_is_in_the_shipped_profiles(kind):
    zoo = SAMPLERS.get("zoo")(kind, {}, 10**6, np.random.default_rng(0))
    keys = [key for key in SHAPE if key != "batch"]
    layers = {tuple(shape.get(key, 1) for key in keys) for shape in zoo}
    for core in ("full", "fullcfu", "fullcfu-dot", "lite"):
        table = data.load_profile([f"vexriscv-{core}/{kind}"])
        assert not layers & set(table[keys].itertuples(index=False, name=None))


def test_the_shipped_profile_of_the_dot_product_unit():
    """Its lanes are as wide as the wider operand: cycles follow that; narrower weights save loads, narrower activations nothing."""
    for kind in ("conv2d", "linear"):
        table = data.load_profile([f"vexriscv-fullcfu-dot/{kind}"])
        shapes = table.groupby([c for c in table.columns if c not in ("act_bits", "weight_bits", "latency", "dataset")])
        assert len(shapes) >= 40 and (shapes.size() == 16).all()
        mean = table.groupby(["act_bits", "weight_bits"])["latency"].mean()
        assert mean[1, 1] < mean[2, 2] < mean[4, 4] < mean[8, 8]
        assert mean[8, 1] < mean[8, 4] < mean[8, 8]
        assert mean[4, 8] == pytest.approx(mean[8, 8], rel=0.01)
        plain = data.load_profile([f"vexriscv-fullcfu/{kind}"]).groupby(["act_bits", "weight_bits"])["latency"].mean()
        assert (mean < plain / 2).all()
