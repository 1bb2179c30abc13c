"""Pooling, additions and copies to fewer bits as kinds of a profile: once per shape, timed where they write bytes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from test_profiling_rtl import needs_rtl

from mico_runner import codegen, data, hardware, profiling
from mico_runner.frozen_data import build
from mico_runner.kernel_table import SHAPE, STORED_BITS
from mico_runner.profiling.samplers import SAMPLERS
from mico_runner.sections import Profile, Ranges
from mico_runner.targets import rtl
from mico_runner.targets.one_kernel import single_layer

KINDS = ("max_pool2d", "avg_pool2d", "add", "requant")
IMAGE = {"in_channels": [3, 12], "in_h": [6, 10]}
SECTION = build(
    Profile,
    {
        "target": "rtl",
        "sampler": "lhs",
        "shapes": 4,
        "bits": {"weight": [2, 8], "activation": [2, 8]},
        "kernels": {kind: IMAGE | ({"kernel": [2, 3], "stride": [1, 2]} if "pool" in kind else {}) for kind in KINDS},
        "repeats": 1,
        "seed": 0,
    },
)


@pytest.mark.parametrize("kind", KINDS)
def test_each_shape_once_at_the_bits_it_is_stored_at(kind):
    table = profiling.sample(kind, SECTION, 1)
    assert len(table) == SECTION.shapes == len(table[SHAPE].drop_duplicates())
    assert (table["act_bits"] == STORED_BITS).all() and (table["weight_bits"] == 0).all() and (table["macs"] == 0).all()
    assert (table["in_channels"] == table["out_channels"]).all()


def test_a_window_above_its_input_is_a_global_pool():
    ranges = Ranges(in_channels=(4, 8), in_h=(3, 4), kernel=(8,), stride=(1,))
    table = profiling.sample("avg_pool2d", replace(SECTION, kernels={"avg_pool2d": ranges}), 1)
    assert (table["in_h"] == 8).all() and (table["out_h"] == 1).all()


@needs_rtl
def test_the_same_spec_gives_the_same_bytes_and_is_timed_inside_a_network(tmp_path):
    device = hardware.load("vexriscv-full")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        profiling.make(SECTION, device, tmp_path / "work").save(tmp_path / name)
    for kind in KINDS:
        assert (tmp_path / "a" / f"{kind}.csv").read_bytes() == (tmp_path / "b" / f"{kind}.csv").read_bytes()
        table = data.load_profile([str(tmp_path / "a" / f"{kind}.csv")])
        assert len(table) == SECTION.shapes
    row = pd.read_csv(tmp_path / "a" / "max_pool2d.csv").iloc[0]
    graph = single_layer("max_pool2d", rng=np.random.default_rng(0), **{k: int(row[k]) for k in SHAPE if k != "batch"})
    codegen.generate(graph, tmp_path / "end", runtime="baremetal")
    image = np.random.default_rng(0).integers(0, 256, (1, *graph.tensors["x"].shape))
    (run,) = rtl.run(rtl.build(tmp_path / "end"), [image], on="full", wait_states=0)
    assert row["latency_cycles"] < run.cycles.sum()  # at the end of a network wide integers are written


CORNER = {
    (64, 64, 32, 32, 2, 2, 2, 1)
}  # of the ranges, and the first pool of mico-vgg, whose 35 MB fit none of these cores


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["max_pool2d", "avg_pool2d"])
def test_no_pool_of_the_model_zoo_is_in_the_shipped_profiles(kind):
    zoo = SAMPLERS.get("zoo")(kind, {}, 10**6, np.random.default_rng(0))
    keys = [key for key in SHAPE if key != "batch"]
    pools = {tuple(shape.get(key, 1) for key in keys) for shape in zoo}
    assert pools
    for core in ("full", "fullcfu", "fullcfu-dot", "lite"):
        table = data.load_profile([f"vexriscv-{core}/{kind}"])
        assert pools & set(table[keys].itertuples(index=False, name=None)) <= CORNER
