"""The kernels that multiply and add give the integers of `quant.reference`: their plain C on the host, their assembly on QEMU."""

from __future__ import annotations

import numpy as np
import pytest
from codegen_graphs import OUTPUT, Network
from hypothesis import given
from hypothesis import strategies as st
from test_codegen_differential import random_networks, special_networks
from test_codegen_dsp import assert_same_on, assert_same_on_the_host, needs_arm, needs_gcc
from test_codegen_tiling import PAIRS, layers

from mico_runner.codegen import mla
from mico_runner.codegen.lowering import lower
from mico_runner.codegen.policy import KernelPolicy
from mico_runner.quant.qgraph import QGraph, QType
from mico_runner.targets.one_kernel import single_layer

POLICY = KernelPolicy.of("baremetal", "cortex-m3")


def shapes(rng: np.random.Generator) -> list[QGraph]:
    """Both signs, an odd number of outputs and of positions, padding, gaps, more taps of 4 bits than a half holds the sums of; pools."""
    graphs = []
    for signed in (False, True):
        net = Network(rng, (3, 5, 5), 8, signed)
        graphs.append(net.done(net.conv("x", 5, (3, 3), 8, padding=(1, 1), to=QType(8, signed, 1.0))))
        net = Network(rng, (40, 5, 3), 4, signed)
        graphs.append(net.done(net.conv("x", 6, (3, 3), 4, (2, 1), (1, 1), (1, 2), extreme="low", to=OUTPUT)))
        net = Network(rng, (7, 3, 200), 4, signed)
        graphs.append(net.done(net.linear("x", 5, 4, extreme="low", to=QType(1, True, 1.0))))
        net = Network(rng, (6, 5, 4), 8, signed)
        graphs.append(net.done(net.pool("max_pool2d", "x", (2, 2), (2, 1))))
    return graphs


@needs_arm
def test_shapes_on_a_cortex_m3(tmp_path):
    assert_same_on("cortex-m3", shapes(np.random.default_rng(1)), tmp_path)


@needs_gcc
@pytest.mark.nightly
def test_every_pair_of_bits_on_the_host(tmp_path):
    graphs = [layers(*pair, np.random.default_rng(i)) for i, pair in enumerate(PAIRS)]
    some = special_networks(np.random.default_rng(3)) + random_networks(60, seed=4) + shapes(np.random.default_rng(0))
    assert_same_on_the_host(graphs + some, tmp_path, POLICY)


@needs_arm
@pytest.mark.nightly
def test_every_pair_of_bits_on_a_cortex_m3(tmp_path):
    graphs = [layers(*pair, np.random.default_rng(i)) for i, pair in enumerate(PAIRS)]
    assert_same_on("cortex-m3", graphs + random_networks(60, seed=4), tmp_path)


@given(st.integers(1, 8), st.booleans())
def test_a_half_holds_the_sums_of_as_many_words(bits, signed):
    kind = QType(bits, signed, 1.0)
    words = mla.most_words(kind.qmin, kind.qmax)
    largest = 8 * max(-kind.qmin, kind.qmax)  # a weight of 4 bits is -8 at least
    assert 8 * words * largest < 1 << 15 <= 8 * (words + 1) * largest


def test_only_cores_without_better_instructions_get_the_kernels():
    layer = {"in_channels": 4, "out_channels": 4, "in_h": 4, "in_w": 4, "rng": np.random.default_rng(0)}
    for bits, kernel in ((8, "conv2d_mla"), (4, "conv2d_mla"), (2, "conv2d_tiled")):
        graph = single_layer("conv2d", **layer, weight_bits=bits, act_bits=4)
        assert lower(graph, POLICY).calls[0].kernel == kernel
        assert lower(graph, KernelPolicy.of("baremetal", "ibex")).calls[0].kernel == "conv2d_tiled"
