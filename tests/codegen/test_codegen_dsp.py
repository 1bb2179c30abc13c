"""The kernels on halves of words give the integers of `quant.reference`: their C on the host, their assembly on QEMU."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from codegen_graphs import OUTPUT, Network, images
from hypothesis import given
from hypothesis import strategies as st
from test_codegen_differential import random_networks, special_networks
from test_codegen_tiling import PAIRS, layers

from mico_runner import codegen
from mico_runner.codegen import dsp
from mico_runner.codegen.lowering import lower
from mico_runner.codegen.packing import row_words
from mico_runner.codegen.policy import KernelPolicy
from mico_runner.quant import reference
from mico_runner.quant.qgraph import QGraph, QType
from mico_runner.targets import qemu
from mico_runner.targets.host_kernels import build_networks, run_networks
from mico_runner.targets.one_kernel import single_layer

POLICY = KernelPolicy.of("baremetal", "cortex-m4")
SOME = [pair for pair in PAIRS if pair[0] in dsp.BITS and pair[1] in (1, 2, 4, 8)]
ARM = qemu.MACHINES["cortex-m4"]
needs_arm = pytest.mark.skipif(
    not all(map(shutil.which, (ARM.gcc, ARM.qemu, "make"))), reason="needs Arm's gcc and QEMU (make setup-qemu)"
)
needs_gcc = pytest.mark.skipif(not (shutil.which("gcc") and shutil.which("make")), reason="needs gcc and make")


def shapes(rng: np.random.Generator) -> list[QGraph]:
    """What the loops tell apart: odd channels, odd positions, one position, four channels together, padding, gaps, both signs."""
    graphs, outputs = [], []

    def network(shape: tuple[int, ...], bits: int = 8, signed: bool = False) -> Network:
        net = Network(rng, shape, bits, signed)
        graphs.append(net)
        return net

    for signed in (False, True):
        n = network((8, 5, 5), 8, signed)
        outputs.append(n.conv("x", 7, (3, 3), 8, padding=(1, 1), to=QType(8, signed, 1.0)))
        n = network((4, 7, 6), 4, signed)
        outputs.append(n.conv("x", 6, (3, 2), 4, (2, 1), (1, 1), (1, 2), to=OUTPUT))
        n = network((3, 6, 6), 8, signed)
        outputs.append(n.conv("x", 5, (3, 3), 2, padding=(1, 1), to=QType(1, True, 1.0)))
        n = network((8, 7, 5), 8, signed)
        outputs.append(n.conv("x", 8, (3, 3), 4, padding=(1, 1), groups=8, to=QType(8, signed, 1.0)))
        n = network((4, 9, 5), 8, signed)
        outputs.append(n.conv("x", 4, (5, 3), 1, (2, 2), (2, 1), groups=4, to=OUTPUT))
        n = network((8, 5, 4), 8, signed)
        outputs.append(n.pool("max_pool2d", "x", (2, 2), (2, 1)))
        n = network((2, 300), 8, signed)
        outputs.append(n.linear("x", 5, 4, extreme="low", to=OUTPUT))  # more taps than sums of four bits hold at once
        n = network((45,), 8, signed)
        outputs.append(n.linear("x", 7, 8, extreme="low", to=OUTPUT))
    return [n.done(y) for n, y in zip(graphs, outputs, strict=True)]


def assert_same_on_the_host(graphs: list[QGraph], folder, policy: KernelPolicy = POLICY) -> None:
    rng = np.random.default_rng(5)
    inputs = [images(graph, rng) for graph in graphs]
    binary = build_networks(graphs, folder, True, policy)
    for i, (graph, x, found) in enumerate(zip(graphs, inputs, run_networks(binary, inputs), strict=True)):
        np.testing.assert_array_equal(found, reference.run(graph, x), err_msg=f"network {i}")


def assert_same_on(machine: str, graphs: list[QGraph], folder) -> None:
    rng = np.random.default_rng(6)
    graphs = [replace(graph, name=f"network{i}") for i, graph in enumerate(graphs)]
    codegen.generate_networks(graphs, folder, KernelPolicy.of("baremetal", machine), machine)
    inputs = [images(graph, rng, count=1) for graph in graphs]
    runs = qemu.run(qemu.build(folder, machine), inputs, machine)
    for graph, x, run in zip(graphs, inputs, runs.networks, strict=True):
        np.testing.assert_array_equal(run.outputs, reference.run(graph, x), err_msg=graph.name)


@needs_gcc
@pytest.mark.nightly
def test_shapes_on_the_host_under_sanitizers(tmp_path):
    assert_same_on_the_host(shapes(np.random.default_rng(0)), tmp_path)


@needs_gcc
@pytest.mark.nightly
def test_every_pair_of_bits_on_the_host(tmp_path):
    graphs = [layers(*pair, np.random.default_rng(i)) for i, pair in enumerate(PAIRS)]
    assert_same_on_the_host(graphs + special_networks(np.random.default_rng(3)) + random_networks(60, seed=4), tmp_path)


@needs_arm
def test_shapes_on_a_cortex_m4(tmp_path):
    graphs = [layers(*pair, np.random.default_rng(i)) for i, pair in enumerate(SOME[::8])]
    assert_same_on("cortex-m4", shapes(np.random.default_rng(1)) + graphs, tmp_path)


@needs_arm
@pytest.mark.nightly
@pytest.mark.parametrize("machine", dsp.CORES)
def test_every_pair_of_bits_on_every_core(tmp_path, machine):
    graphs = [layers(*pair, np.random.default_rng(i)) for i, pair in enumerate(PAIRS)]
    some = special_networks(np.random.default_rng(3)) + random_networks(60, seed=4)
    assert_same_on(machine, graphs + some + shapes(np.random.default_rng(2)), tmp_path)


@needs_arm
def test_instructions_of_a_product(tmp_path):
    """A 3 x 3 layer with everything counted: the counts repeat exactly. Four bits take no more than eight."""
    shape = {"in_channels": 16, "out_channels": 16, "in_h": 8, "in_w": 8, "kernel_h": 3, "kernel_w": 3}
    graphs = [
        replace(
            single_layer("conv2d", **shape, weight_bits=b, act_bits=b, rng=np.random.default_rng(0)), name=f"bits{b}"
        )
        for b in (8, 4)
    ]
    codegen.generate_networks(graphs, tmp_path, POLICY, "cortex-m4")
    inputs = [images(graph, np.random.default_rng(1), count=1) for graph in graphs]
    runs = qemu.run(qemu.build(tmp_path, "cortex-m4"), inputs, "cortex-m4")
    eight, four = (run.instructions[0].sum() / (36 * 144 * 16) for run in runs.networks)
    assert four <= eight < 1.6


@given(st.sampled_from(dsp.BITS), st.integers(1, 200))
def test_every_bit_of_a_row_has_a_place_of_its_own(bits, taps):
    places = dsp.places(taps, bits)
    assert places.shape == (taps, bits)
    assert len(np.unique(places)) == places.size and places.max() < 32 * row_words(taps, bits)


@given(st.integers(1, 9), st.integers(1, 5))
def test_rows_lie_in_pairs(rows, words):
    given_rows = np.arange(rows * words, dtype=np.uint32).reshape(rows, words)
    found = dsp.side_by_side(given_rows).ravel()
    for row in range(rows):
        start, step = (row // 2 * 2 * words + row % 2, 2) if row < rows // 2 * 2 else (row * words, 1)
        np.testing.assert_array_equal(found[start : start + step * words : step], given_rows[row])


def test_only_cores_with_the_instructions_get_the_kernels():
    graph = single_layer("conv2d", in_channels=4, out_channels=4, in_h=4, in_w=4, rng=np.random.default_rng(0))
    for core, kernel in (("cortex-m3", "conv2d_mla"), ("ibex", "conv2d_tiled"), (None, "conv2d_tiled")):
        assert lower(graph, KernelPolicy.of("baremetal", core)).calls[0].kernel == kernel
    for core in dsp.CORES:
        assert lower(graph, KernelPolicy.of("baremetal", core)).calls[0].kernel == "conv2d_dsp"
        assert lower(graph, KernelPolicy.of("host", core)).calls[0].kernel == "conv2d_simd"
