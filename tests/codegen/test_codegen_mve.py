"""The kernels on vectors of 16 bytes give the integers of `quant.reference`: their plain C on the host, their assembly on QEMU."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from codegen_graphs import OUTPUT, Network, images
from hypothesis import given
from hypothesis import strategies as st
from test_codegen_differential import random_networks, special_networks
from test_codegen_dsp import assert_same_on, assert_same_on_the_host, needs_arm, needs_gcc
from test_codegen_dsp import shapes as common_shapes
from test_codegen_tiling import PAIRS, layers

from mico_runner import codegen
from mico_runner.codegen import mve
from mico_runner.codegen.lowering import lower
from mico_runner.codegen.packing import row_words
from mico_runner.codegen.policy import KernelPolicy
from mico_runner.quant.qgraph import QGraph, QType
from mico_runner.targets import qemu
from mico_runner.targets.one_kernel import single_layer

POLICY = KernelPolicy.of("baremetal", "cortex-m55")


def shapes(rng: np.random.Generator) -> list[QGraph]:
    """Rows of each number of words up to a vector and beyond it, of bits in both of their forms; depthwise layers at all edges."""
    graphs = common_shapes(rng)
    for bits, activation, taps in [
        (1, 1, 128),
        (1, 6, 240),
        (1, 8, 100),
        (2, 5, 128),
        (2, 2, 120),
        (2, 8, 60),
        (4, 8, 56),
    ]:
        net = Network(rng, (3, taps), activation)
        graphs.append(net.done(net.linear("x", 6, bits, extreme="low", to=QType(8, False, 1.0))))
    for stride, dilation, to in [((1, 1), (1, 1), QType(1, True, 1.0)), ((2, 1), (1, 2), QType(7, False, 1.0))]:
        net = Network(rng, (8, 6, 7), 8)
        graphs.append(net.done(net.conv("x", 8, (3, 3), 4, stride, (1, 2), dilation, groups=8, to=to)))
    net = Network(rng, (19, 5, 4), 8)
    graphs.append(net.done(net.pool("max_pool2d", "x", (3, 2), (1, 2), (1, 0))))
    net = Network(rng, (3, 5, 3), 8, True)
    graphs.append(net.done(net.add("x", net.requant("x", QType(8, False, 0.3)), to=OUTPUT)))
    net = Network(rng, (3, 5, 3), 8)
    graphs.append(net.done(net.requant(net.add("x", "x", to=QType(8, False, 1.0)), OUTPUT)))
    return graphs


@needs_arm
def test_shapes_on_a_cortex_m55(tmp_path):
    assert_same_on("cortex-m55", shapes(np.random.default_rng(1)), tmp_path)


@needs_gcc
@pytest.mark.nightly
def test_every_pair_of_bits_on_the_host(tmp_path):
    graphs = [layers(*pair, np.random.default_rng(i)) for i, pair in enumerate(PAIRS)] + shapes(
        np.random.default_rng(0)
    )
    some = special_networks(np.random.default_rng(3)) + random_networks(60, seed=4)
    assert_same_on_the_host(graphs + some, tmp_path, POLICY)


@needs_arm
@pytest.mark.nightly
def test_every_pair_of_bits_on_a_cortex_m55(tmp_path):
    graphs = [layers(*pair, np.random.default_rng(i)) for i, pair in enumerate(PAIRS)]
    some = special_networks(np.random.default_rng(3)) + random_networks(60, seed=4)
    assert_same_on("cortex-m55", graphs + some, tmp_path)


@needs_arm
def test_instructions_of_a_product(tmp_path):
    """A 3 x 3 layer with everything counted: the counts repeat exactly."""
    shape = {"in_channels": 32, "out_channels": 16, "in_h": 8, "in_w": 8, "kernel_h": 3, "kernel_w": 3}
    layer = single_layer("conv2d", **shape, rng=np.random.default_rng(0))
    graphs = [replace(layer, name="layer")]
    codegen.generate_networks(graphs, tmp_path, POLICY, "cortex-m55")
    inputs = [images(graph, np.random.default_rng(1), count=1) for graph in graphs]
    run = qemu.run(qemu.build(tmp_path, "cortex-m55"), inputs, "cortex-m55").networks[0]
    assert run.instructions[0].sum() / (36 * 288 * 16) < 0.25


@given(st.sampled_from(mve.BITS), st.integers(1, 300), st.booleans())
def test_every_bit_of_a_row_has_a_place_of_its_own(bits, taps, narrow):
    places = mve.places(taps, bits, narrow and bits in mve.NARROW)
    assert places.shape == (taps, bits)
    assert len(np.unique(places)) == places.size and places.max() < 32 * row_words(taps, bits)
    assert taps <= mve.column_bytes(taps, bits) < taps + 16 * 8


def field(byte: np.ndarray, bits: int, place: int, narrow: bool) -> np.ndarray:
    """What the kernels take out of signed bytes for the weight whose lowest bit has this place."""
    if narrow:
        return byte >> place
    return (byte << 8 - bits - place).astype(np.int8) & -(1 << 8 - bits)


@given(st.sampled_from(mve.BITS), st.integers(1, 200), st.booleans(), st.integers(0, 9))
def test_sums_of_what_comes_out_of_the_bytes(bits, taps, narrow, seed):
    """The product that mico_conv2d_mve.h describes, tap by tap."""
    narrow = narrow and bits in mve.NARROW
    rng = np.random.default_rng(seed)
    rows = rng.choice([-1, 1], (2, taps)) if bits == 1 else rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (2, taps))
    x = rng.integers(0, 4, taps)
    patterns, places = mve.patterns(rows, bits, narrow), mve.places(taps, bits, narrow)
    words = mve.place_bits(patterns, places)
    sums = np.zeros(2, np.int64)
    for row, octets in enumerate(words.view(np.int8)):
        for tap in range(taps):
            below = np.flatnonzero((places[:, 0] // 8 == places[tap, 0] // 8) & (places[:, 0] == places[tap, 0] - bits))
            less = (1 << bits) * x[below].sum() if narrow else 0
            taken = int(field(octets[places[tap, 0] // 8].astype(np.int64), bits, places[tap, 0] % 8, narrow))
            sums[row] += taken * (x[tap] - less)
    top = mve.at_the_top(taps, bits)
    if narrow:
        # steps above the last tap of a byte have no activations of their own, but what is taken off for the step below
        for row, octets in enumerate(words.view(np.int8)):
            for tap in range(taps):
                above = places[tap, 0] % 8 + bits
                if above < 8 and not (places[:, 0] == places[tap, 0] + bits).any():
                    sums[row] -= (int(octets[places[tap, 0] // 8]) >> above) * (x[tap] << bits)
        sums = sums * (2 if bits == 1 else 1) + 2 * x[top].sum() - bits * x.sum()
    else:
        sums = (sums >> {8: 0, 4: 4, 2: 6, 1: 6}[bits]) + (x.sum() if bits == 1 else 0)
    np.testing.assert_array_equal(sums, rows @ x)


@given(st.sampled_from(mve.NARROW), st.integers(1, 8), st.booleans())
def test_narrow_activations_fit_a_byte_when_others_are_taken_off(bits, activation_bits, signed):
    kind = QType(activation_bits, signed, 1.0)
    ends = [v - (u << bits) for v in (kind.qmin, 0, kind.qmax) for u in (kind.qmin, 0, kind.qmax)]
    assert mve.is_narrow(bits, kind) == (min(ends) >= -128 and max(ends) <= 127)


def test_only_cores_with_the_instructions_get_the_kernels():
    graph = single_layer("conv2d", in_channels=4, out_channels=4, in_h=4, in_w=4, rng=np.random.default_rng(0))
    assert lower(graph, KernelPolicy.of("baremetal", "cortex-m33")).calls[0].kernel == "conv2d_dsp"
    assert lower(graph, POLICY).calls[0].kernel == "conv2d_mve"
