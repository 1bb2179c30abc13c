"""The tiled kernels give the integers of `quant.reference`: every pair of bits, odd sizes, under sanitizers."""

from __future__ import annotations

import shutil
from itertools import pairwise

import numpy as np
import pytest
from codegen_graphs import OUTPUT, Network
from test_codegen_differential import assert_same, random_networks, special_networks

from mico_runner.codegen import micro
from mico_runner.codegen.lowering import lower
from mico_runner.codegen.micro.base import MicroKernel
from mico_runner.codegen.micro.byte_lanes import ByteLanes
from mico_runner.codegen.policy import KernelPolicy
from mico_runner.codegen.tiling import form, requantisation, rounding_constant
from mico_runner.ops.c import Buffer, ConvGeometry
from mico_runner.quant.qgraph import QGraph, QNode, QType

needs_gcc = pytest.mark.skipif(not (shutil.which("gcc") and shutil.which("make")), reason="needs gcc and make")
POLICY, WITH_TABLES = KernelPolicy(tiles=True), KernelPolicy(tiles=True, tables=True)
PAIRS = [(w, a, s) for w in range(1, 9) for a in range(1, 9) for s in (False, True)]


def layers(weight_bits: int, act_bits: int, signed: bool, rng: np.random.Generator) -> QGraph:
    """Two convolutions and two linear layers of at least four outputs, of sizes that fill no word and no tile."""
    net = Network(rng, tuple(int(v) for v in rng.integers([1, 5, 5], [9, 9, 9])), act_bits, signed)
    kind = [QType(act_bits, bool(s), 0.5) for s in rng.integers(2, size=4)]
    padding = tuple(int(v) for v in rng.integers(0, 3, 2))
    dilation = tuple(int(v) for v in rng.integers(1, 3, 2))
    extreme = rng.choice([None, None, "low", "high"])
    y = net.conv(
        "x", int(rng.integers(4, 14)), (3, 2), weight_bits, (1, 2), padding, dilation, extreme=extreme, to=kind[0]
    )
    y = net.conv(y, int(rng.integers(4, 34)), (1, 1), weight_bits, to=kind[1])
    y = net.linear(net.reshape(y, None), int(rng.integers(4, 12)), weight_bits, extreme=extreme, to=kind[2])
    return net.done(net.linear(y, 5, weight_bits, to=OUTPUT))


def wide_layers(rng: np.random.Generator) -> list[QGraph]:
    """Rows so long that lanes, counts and sums must be emptied on the way; all products at their largest."""
    graphs = []
    for weight_bits, act_bits, _ in PAIRS[::2]:
        for extreme in (None, "low"):
            net = Network(rng, (5, 2100), act_bits)
            graphs.append(net.done(net.linear("x", 6, weight_bits, extreme=extreme, to=QType(7, True, 1.0))))
    return graphs


def image_layers(rng: np.random.Generator) -> list[QGraph]:
    """Convolutions of odd numbers of channels, whose patches are gathered four at a time; the last has as many taps as these may."""
    graphs = []
    for weight_bits, act_bits, signed in PAIRS:
        last = act_bits == 1 and not signed
        net = Network(
            rng,
            (17, 5, 9) if last else (int(rng.choice([1, 3, 5])), *(int(v) for v in rng.integers(5, 14, 2))),
            act_bits,
            signed,
        )
        stride, padding = (tuple(int(v) for v in rng.integers(low, 3, 2)) for low in (1, 0))
        kernel = (5, 3) if last else tuple(int(v) for v in rng.integers(2, 6, 2))
        y = net.conv(
            "x", int(rng.integers(4, 9)), kernel, weight_bits, (1, 1) if last else stride, padding, to=net.some_type()
        )
        graphs.append(net.done(net.requant(y, OUTPUT)))
    return graphs


# Programs without sanitizers are tried by the tests of whole networks, too.
PLAIN_AND_SANITIZED = [pytest.param(False, marks=pytest.mark.nightly), True]


@needs_gcc
@pytest.mark.parametrize("sanitize", PLAIN_AND_SANITIZED)
def test_four_patches_at_a_time(tmp_path, sanitize):
    graphs = image_layers(np.random.default_rng([8, int(sanitize)]))
    variants = [call.variant for graph in graphs for call in lower(graph, WITH_TABLES).calls if call.variant]
    assert sum(variant.endswith("_four") for variant in variants) > 0.6 * len(graphs)
    assert_same(graphs, tmp_path, sanitize, policy=WITH_TABLES)


@needs_gcc
@pytest.mark.parametrize("sanitize", PLAIN_AND_SANITIZED)
def test_every_pair_of_bits(tmp_path, sanitize):
    rng = np.random.default_rng(int(sanitize))
    assert_same([layers(*pair, rng) for pair in PAIRS], tmp_path, sanitize, policy=WITH_TABLES)


@needs_gcc
@pytest.mark.parametrize("sanitize", [None, *(pytest.param(s, marks=pytest.mark.nightly) for s in (True, False))])
def test_scratch_of_two_rows(tmp_path, sanitize):
    """Of 16 bits, with some weights where these become bytes; tables and sums are a few KiB besides, asked for or without patches."""
    rng = np.random.default_rng([9, int(bool(sanitize))])
    graphs = [layers(*pair, rng) for pair in PAIRS] + wide_layers(rng) + image_layers(rng)
    for policy in (POLICY, WITH_TABLES):
        calls = [c for graph in graphs for c in lower(graph, policy).calls if c.variant]
        having = [c for c in calls if micro.of_unit(c.unit).TABLES]
        patches = [c for c in having if c.fields["size"]["kernel_h"] * c.fields["size"]["kernel_w"] > 1]
        assert len(calls) > 400 and len(having) > len(patches) + 10 and (len(patches) > 10) == policy.tables
        for call in calls:
            more = 128 if isinstance(micro.of_unit(call.unit), ByteLanes) and call.weights.bits < 8 else 0
            more += 2048 + 2048 if micro.of_unit(call.unit).TABLES else 0
            assert call.scratch_bytes <= 2 * 2 * 4 * call.fields["value_words"] + more
    if sanitize is not None:  # else the programs of the tests above are enough
        assert_same(graphs, tmp_path, sanitize, policy=POLICY)


@needs_gcc
@pytest.mark.slow
@pytest.mark.parametrize(
    ("rank", "every"), [(0, 3), *(pytest.param(rank, 1, marks=pytest.mark.nightly) for rank in range(6))]
)
def test_every_micro_kernel_that_can_hold_the_bits(tmp_path, monkeypatch, rank, every):
    ranks = {s.name: rank for b in range(1, 9) for s in micro.candidates(b, QType(1, False, 1.0), False)[rank:][:1]}
    assert ranks
    monkeypatch.setattr(MicroKernel, "cycles", lambda self, *size: self.name not in ranks)
    rng = np.random.default_rng(6 + rank)
    graphs = [layers(*pair, rng) for pair in PAIRS] + wide_layers(rng) + image_layers(rng)
    assert_same(graphs[::every], tmp_path, sanitize=True, policy=WITH_TABLES)


@needs_gcc
def test_long_rows(tmp_path):
    assert_same(wide_layers(np.random.default_rng(2)), tmp_path, sanitize=True, policy=POLICY)


@needs_gcc
@pytest.mark.slow
def test_special_and_random_networks(tmp_path):
    graphs = special_networks(np.random.default_rng(3)) + random_networks(60, seed=4)
    assert_same(graphs, tmp_path, sanitize=True, policy=POLICY)


@pytest.mark.parametrize("weight_bits", range(1, 9))
@pytest.mark.parametrize("act_bits", [1, 2, 4, 8])
@pytest.mark.parametrize("taps", [1, 9, 27, 53, 64])
def test_codes_take_the_true_size_and_hold_every_weight_once(weight_bits, act_bits, taps):
    rng = np.random.default_rng(0)
    weight = Network(rng, (1,)).weights((6, taps), weight_bits)
    scales = {"multiplier": np.ones(6, np.int32), "shift": np.ones(6, np.int32), "bias": np.zeros(6, np.int32)}
    node = QNode("l", "linear", ("x",), "y", {}, {"weight": weight, **scales}, weight_bits)
    types = {"x": QType(act_bits, False, 1.0), "y": QType(8, False, 1.0)}
    buffers = [Buffer(name, (1,), kind, "arena") for name, kind in types.items()]
    for kernel in micro.candidates(weight_bits, types["x"], padded=False):
        if not kernel.holds(taps):
            continue
        layer = form(node, weight, ConvGeometry(1, 1, taps, 1, 1, 6), *buffers, kernel)
        assert layer.variant == f"conv2d_{kernel.name}_narrow"
        words, places = kernel.mixed(layer.weights.words), kernel.places(taps)
        assert words.shape == (6, -(-taps * weight_bits // 32))
        assert places.shape == (taps, weight_bits) and len(np.unique(places)) == places.size
        bits = words[:, places // 32] >> (places % 32).astype(np.uint32) & 1
        values = (bits.astype(int) << np.arange(weight_bits)).sum(axis=2)
        np.testing.assert_array_equal(kernel.scale * values - kernel.zero_point, weight)
        assert np.bitwise_count(words).sum() == bits.sum()  # beyond the taps there are zeros


def test_signs_have_a_micro_kernel_where_nothing_is_padded():
    assert micro.candidates(1, QType(1, True, 1.0), padded=False)[0].name == "signs"
    assert "signs" not in [s.name for s in micro.candidates(1, QType(1, True, 1.0), padded=True)]  # zero is no sign


@pytest.mark.parametrize("weight_bits", range(1, 9))
def test_micro_kernels_of_wider_activations_are_open_to_narrower_ones(weight_bits):
    names = [
        {s.name for s in micro.candidates(weight_bits, QType(b, False, 1.0), padded=False)} for b in range(8, 0, -1)
    ]
    assert names[0] and all(wider <= narrower for wider, narrower in pairwise(names))


def test_requantisation_from_the_high_word_is_exact():
    rng = np.random.default_rng(5)
    exact = 0
    for _ in range(500):
        multiplier, shift = int(2 ** rng.uniform(0, 22)), int(rng.integers(1, 53))
        bound = int(2 ** rng.uniform(0, 31))
        node = QNode("l", "linear", ("x",), "y", {}, {"bias": np.zeros(1, np.int32), "multiplier": np.array([multiplier]),
                     "shift": np.array([shift])})  # fmt: skip
        found = requantisation(node, QType(8, True, 1.0), np.array([bound]))
        if found is None:
            continue
        exact += 1
        (factor,), (t,) = found
        left, factor = int(factor) & 31, int(factor) & ~31
        assert factor < 1 << 31 and 1 <= t <= 31
        for acc in (-bound, bound, *rng.integers(-bound, bound + 1, 20).tolist()):
            assert abs(acc << left) < 1 << 31
            high = (acc << left) * factor >> 32
            assert (high + (1 << int(t) - 1)) >> int(t) == (acc * multiplier + (1 << shift - 1)) >> shift
    assert exact > 250


def test_requantisation_to_a_sign_is_that_of_the_accumulator():
    scales = {"multiplier": np.array([77]), "shift": np.array([9]), "bias": np.zeros(1, np.int32)}
    most = (1 << 28) - 1
    (factor,), (t,) = requantisation(
        QNode("l", "linear", ("x",), "y", {}, scales), QType(1, True, 1.0), np.array([most])
    )
    for acc in (-most, -2, -1, 0, 1, 2, most):
        high = (acc << (int(factor) & 31)) * (int(factor) & ~31) >> 32
        over = ((rounding_constant(1, True) << int(t) - 1) - 1 - high) >> int(t)
        assert max(2 - max(over, 0), 0) - 1 == (1 if acc >= 0 else -1)


def test_an_accumulator_too_large_for_the_high_word_keeps_the_plain_kernels():
    scales = {"multiplier": np.array([1 << 21]), "shift": np.array([10]), "bias": np.zeros(1, np.int32)}
    node = QNode("l", "linear", ("x",), "y", {}, scales)
    assert requantisation(node, QType(8, False, 1.0), np.array([1 << 16])) is not None
    assert requantisation(node, QType(8, False, 1.0), np.array([1 << 18])) is None
