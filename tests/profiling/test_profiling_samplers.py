"""Samplers: distinct shapes inside the ranges, evenly spread, the same for the same seed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mico_runner.kernel_table import kernel_table
from mico_runner.profiling.samplers import SAMPLERS

RANGES = {"in_channels": [1, 512], "out_channels": [4, 256], "in_h": [3, 64], "kernel": [1, 3, 5], "stride": [1, 2]}
LINEAR = {"in_channels": [8, 4096], "out_channels": [4, 1024]}


def span(low_most: int, high_most: int):
    return st.tuples(st.integers(1, low_most), st.integers(0, high_most)).map(lambda t: [t[0], t[0] + t[1]])


@given(
    sampler=st.sampled_from(["lhs", "corner", "lhs+corner", "adaptive"]),
    ranges=st.fixed_dictionaries(
        {
            "in_channels": span(50, 300),
            "out_channels": span(50, 300),
            "in_h": span(10, 60),
            "kernel": st.lists(st.integers(1, 7), min_size=1, max_size=3, unique=True),
            "stride": st.lists(st.integers(1, 3), min_size=1, max_size=2, unique=True),
        }
    ),
    count=st.integers(1, 40),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=60, deadline=None)
def test_shapes_are_distinct_inside_the_ranges_and_repeatable(sampler, ranges, count, seed):
    draw = SAMPLERS.get(sampler)
    shapes = draw("conv2d", ranges, count, np.random.default_rng(seed))
    assert shapes == draw("conv2d", ranges, count, np.random.default_rng(seed))
    assert 1 <= len(shapes) <= count
    assert len({tuple(s.values()) for s in shapes}) == len(shapes)
    for s in shapes:
        assert ranges["in_channels"][0] <= s["in_channels"] <= ranges["in_channels"][1]
        assert ranges["out_channels"][0] <= s["out_channels"] <= ranges["out_channels"][1]
        assert ranges["in_h"][0] <= s["in_h"] <= max(ranges["in_h"][1], s["kernel_h"])
        assert s["in_h"] == s["in_w"] >= s["kernel_h"] == s["kernel_w"]
        assert s["kernel_h"] in ranges["kernel"] and s["stride"] in ranges["stride"]
    assert (kernel_table([{"kind": "conv2d"} | s for s in shapes])[["out_h", "out_w"]] >= 1).all().all()


@given(count=st.integers(2, 64), seed=st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_a_latin_hypercube_draws_once_from_every_slice(count, seed):
    from mico_runner.profiling.samplers.lhs import _column

    low, high = 10**6, 10**9  # whole numbers are dense here: every slice holds thousands
    values = _column("in_channels", [low, high], count, np.random.default_rng(seed))
    slices = np.log((values + 0.5) / low) / np.log((high + 1) / low) * count
    assert sorted(slices.astype(int)) == list(range(count))
    kernels = _column("kernel", [1, 3, 5], count, np.random.default_rng(seed))
    assert np.ptp(np.bincount(kernels, minlength=6)[[1, 3, 5]]) <= 1


def test_lhs_returns_all_there_are_when_the_ranges_hold_fewer():
    few = {"in_channels": [1, 3], "out_channels": [1, 2]}
    shapes = SAMPLERS.get("lhs")("linear", few, 50, np.random.default_rng(0))
    assert len(shapes) == 6  # all there are


def test_corner_holds_every_extreme():
    shapes = SAMPLERS.get("corner")("linear", LINEAR, 10, np.random.default_rng(0))
    assert {(s["in_channels"], s["out_channels"]) for s in shapes} == {(8, 4), (8, 1024), (4096, 4), (4096, 1024)}
    shapes = SAMPLERS.get("corner")("conv2d", RANGES, 100, np.random.default_rng(0))
    assert len(shapes) == 2**3 * 3 * 2
    assert {s["in_h"] for s in shapes} == {3, 5, 64}  # a 5 x 5 kernel needs more than 3 pixels


@pytest.mark.slow
def test_zoo_has_the_layers_of_lenet(monkeypatch):
    monkeypatch.setattr("mico_runner.models.MODELS.names", lambda: ["lenet", "mlp"])
    shapes = SAMPLERS.get("zoo")("conv2d", {}, 1000, np.random.default_rng(0))
    sizes = {(s["in_channels"], s["out_channels"], s["in_h"], s["kernel_h"], s["stride"]) for s in shapes}
    assert {(1, 6, 32, 5, 1), (6, 16, 14, 5, 1)} <= sizes
    linear = SAMPLERS.get("zoo")("linear", {}, 1000, np.random.default_rng(0))
    assert {(400, 64), (64, 32), (32, 10)} <= {(s["in_channels"], s["out_channels"]) for s in linear}
    assert len(SAMPLERS.get("zoo")("linear", {}, 3, np.random.default_rng(0))) == 3


@pytest.mark.nightly
def test_zoo_captures_every_model_of_images():
    shapes = SAMPLERS.get("zoo")("depthwise", {}, 1000, np.random.default_rng(0))
    assert len(shapes) > 20 and all(s["groups"] == s["in_channels"] for s in shapes)


def test_adaptive_leaves_less_unknown_than_a_latin_hypercube():
    """The summed variance that is left of 60 other shapes, by sizes alone: another prior than the one by which it chooses."""
    from mico_runner.proxy import adaptive

    ranges = {"in_channels": [4, 512], "out_channels": [4, 512]}
    left = {}
    for name in ("lhs", "adaptive"):
        totals = []
        for seed in range(4):
            rng = np.random.default_rng(seed)
            others = SAMPLERS.get("lhs")("linear", ranges, 60, rng)
            shapes = SAMPLERS.get(name)("linear", ranges, 6, rng)
            bits = {"act_bits": 8, "weight_bits": 8}
            table = kernel_table([{"kind": "linear"} | each | bits for each in shapes + others])
            covariance = adaptive._spread(table)
            known = covariance[:6, :6] + 0.01 * np.eye(6)
            explained = covariance[6:, :6] @ np.linalg.solve(known, covariance[:6, 6:])
            totals.append(np.trace(covariance[6:, 6:] - explained))
        left[name] = np.mean(totals)
    assert left["adaptive"] < left["lhs"]
