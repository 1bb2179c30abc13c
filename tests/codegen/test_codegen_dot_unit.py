"""The kernels for the dot-product unit give the integers of `quant.reference`, on a model of the unit and on its RTL."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from codegen_graphs import OUTPUT, Network, images
from test_codegen_differential import random_networks, special_networks
from test_codegen_tiling import PAIRS, layers

from mico_runner import codegen
from mico_runner.codegen.dot_unit import BUFFER_WORDS, POSITIONS, RUN_BYTES, SEGMENT_BYTES, form, gathered
from mico_runner.codegen.emit import KERNELS
from mico_runner.codegen.lowering import lower
from mico_runner.codegen.policy import KernelPolicy
from mico_runner.ops.c import Buffer, ConvGeometry
from mico_runner.quant import reference
from mico_runner.quant.qgraph import QGraph, QType
from mico_runner.targets import qemu, rtl
from mico_runner.targets.host_kernels import build_networks, run_networks
from mico_runner.targets.one_kernel import single_layer

CORE = "fullcfu-dot"
POLICY = KernelPolicy.of("baremetal", CORE)
needs_gcc = pytest.mark.skipif(not (shutil.which("gcc") and shutil.which("make")), reason="needs gcc and make")
TOOLS = ("verilator", "riscv64-unknown-elf-gcc", "g++", "make")
needs_rtl = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)) or importlib.util.find_spec("pythondata_cpu_vexriscv") is None,
    reason="needs verilator, a RISC-V gcc and pythondata-cpu-vexriscv (make setup-rtl)",
)
U8, S1 = QType(8, False, 1.0), QType(1, True, 1.0)


def assert_same_on_the_model(graphs: list[QGraph], folder: Path, sanitize: bool = True) -> None:
    rng = np.random.default_rng(5)
    inputs = [images(graph, rng) for graph in graphs]
    binary = build_networks(graphs, folder, sanitize, POLICY)
    for i, (graph, x, found) in enumerate(zip(graphs, inputs, run_networks(binary, inputs), strict=True)):
        np.testing.assert_array_equal(found, reference.run(graph, x), err_msg=f"network {i}")


def limits(rng: np.random.Generator) -> list[QGraph]:
    """One network per limit of the unit: its window, its buffer, its table of channels, its tile."""
    graphs = []

    def network(shape: tuple[int, ...], bits: int = 8, signed: bool = False) -> Network:
        net = Network(rng, shape, bits, signed)
        graphs.append(net)
        return net

    outputs = []
    n = network((3, RUN_BYTES + 5))
    outputs.append(n.linear("x", 5, 8, to=U8))  # a row longer than a cut
    n = network((BUFFER_WORDS * 4,))
    outputs.append(n.linear("x", 3, 8, to=OUTPUT))  # one patch fills the buffer
    n = network((BUFFER_WORDS * 4 + 1,))
    outputs.append(n.linear("x", 4, 8, to=OUTPUT))  # and this one is too long
    n = network((2, 7), 4)
    outputs.append(n.linear("x", 262, 4, to=U8))  # more channels than the table holds
    n = network((2, 7), 2)
    outputs.append(n.linear("x", 512, 1, to=OUTPUT))
    n = network((70, 6, 9))
    outputs.append(n.conv("x", 6, (1, 3), 8, padding=(0, 1), to=U8))  # some patches at a time fit a segment
    n = network((300, 3, 4))
    outputs.append(n.conv("x", 7, (2, 3), 2, (1, 2), (1, 1), (1, 2), to=U8))  # gaps, in pieces
    n = network((400, 2, 4))
    outputs.append(n.conv("x", 2, (1, 3), 1, padding=(1, 2), to=U8))  # a padded row longer than a cut
    n = network((5, 4, 23))
    outputs.append(n.conv("x", 3, (3, 3), 4, (1, 3), (2, 2), to=OUTPUT))  # tiles that go on in the next row
    n = network((127, 5, 18), 4)
    outputs.append(n.conv("x", 5, (3, 1), 4, to=U8))  # segments that fill the window, one after another
    n = network((3, 2, 2), 1, True)
    outputs.append(n.conv("x", 5, (3, 3), 1, padding=(2, 2), to=S1))  # zeros among -1 and +1
    return [n.done(y) for n, y in zip(graphs, outputs, strict=True)]


@needs_gcc
@pytest.mark.parametrize(
    ("pairs", "sanitize"),
    [(PAIRS[::6], True), *(pytest.param(PAIRS, sanitize, marks=pytest.mark.nightly) for sanitize in (True, False))],
    ids=["some", "sanitized", "plain"],
)
def test_every_pair_of_bits(tmp_path, pairs, sanitize):
    rng = np.random.default_rng(int(sanitize))
    assert_same_on_the_model([layers(*pair, rng) for pair in pairs], tmp_path, sanitize)


@needs_gcc
def test_limits_of_the_unit(tmp_path):
    assert_same_on_the_model(limits(np.random.default_rng(2)), tmp_path)


@needs_gcc
@pytest.mark.slow
def test_special_and_random_networks(tmp_path):
    graphs = special_networks(np.random.default_rng(3)) + random_networks(60, seed=4)
    assert_same_on_the_model(graphs, tmp_path)


@needs_rtl
@pytest.mark.parametrize("every", [8, pytest.param(2, marks=pytest.mark.nightly)])
def test_outputs_on_rtl_are_those_of_the_reference(tmp_path, every):
    rng = np.random.default_rng(6)
    graphs = [layers(*pair, rng) for pair in PAIRS[::every]] + limits(rng) + special_networks(rng)
    graphs = [replace(graph, name=f"network{i}") for i, graph in enumerate(graphs)]
    codegen.generate_networks(graphs, tmp_path, POLICY, CORE)
    inputs = [images(graph, rng, count=1) for graph in graphs]
    runs = rtl.run(rtl.build(tmp_path), inputs, on=CORE)
    for graph, x, run in zip(graphs, inputs, runs, strict=True):
        np.testing.assert_array_equal(run.outputs, reference.run(graph, x), err_msg=graph.name)


@needs_rtl
def test_cycles_per_product(tmp_path):
    """The matrix product 16 x 64 x 32 with everything counted; simulated cycles repeat exactly."""
    most = {8: 0.60, 4: 0.32, 2: 0.20, 1: 0.12}
    shape = {"in_channels": 64, "out_channels": 32, "batch": 16}
    graphs = [
        replace(single_layer("linear", **shape, weight_bits=b, act_bits=b, rng=np.random.default_rng(0)), name=f"n{b}")
        for b in most
    ]
    codegen.generate_networks(graphs, tmp_path, POLICY, CORE)
    inputs = [images(graph, np.random.default_rng(1), count=1) for graph in graphs]
    runs = rtl.run(rtl.build(tmp_path), inputs, on=CORE)
    cycles = {bits: run.cycles.sum(axis=1).max() / (16 * 64 * 32) for bits, run in zip(most, runs, strict=True)}
    assert all(cycles[bits] < most[bits] for bits in most), cycles


@needs_rtl
def test_wait_states_change_cycles_alone(tmp_path):
    graph = layers(4, 4, False, np.random.default_rng(0))
    codegen.generate(graph, tmp_path, runtime="baremetal", core=CORE)
    x = images(graph, np.random.default_rng(1))
    image = rtl.build(tmp_path)
    fast, slow = (rtl.run(image, [x], on=CORE, wait_states=w)[0] for w in (0, 3))
    np.testing.assert_array_equal(fast.outputs, slow.outputs)
    assert (slow.cycles > fast.cycles).all()


@pytest.mark.skipif(
    not all(map(shutil.which, ("qemu-system-riscv32", "riscv64-unknown-elf-gcc", "make"))),
    reason="needs QEMU and a RISC-V gcc (make setup-qemu)",
)
def test_boards_without_the_unit_run_the_model(tmp_path):
    graph = layers(2, 4, True, np.random.default_rng(0))
    codegen.generate(graph, tmp_path, runtime="baremetal", core=CORE)
    x = images(graph, np.random.default_rng(1))
    (run,) = qemu.run(qemu.build(tmp_path, "rv32"), [x], "rv32").networks
    np.testing.assert_array_equal(run.outputs, reference.run(graph, x))


def test_which_layers_it_takes():
    graphs = limits(np.random.default_rng(0))
    kernels = [lower(graph, POLICY).calls[0].kernel for graph in graphs]
    assert kernels == ["conv2d_dot"] * 2 + ["conv2d_tiled"] + ["conv2d_dot"] * 8
    net = Network(np.random.default_rng(0), (3, 4, 4))
    pooled = net.pool("max_pool2d", "x", (2, 2), (2, 2))
    graph = net.done(net.conv(net.conv(pooled, 4, (1, 1), 5), 4, (1, 1), 4, groups=2))
    kernels = [call.kernel for call in lower(graph, POLICY).calls]
    assert kernels == ["max_pool2d_dot", "conv2d_tiled", "conv2d"]  # 5 bits, groups
    assert lower(graph, KernelPolicy.of("baremetal")).calls[0].kernel == "max_pool2d"


def test_operands_are_as_wide_as_the_wider_of_both():
    net = Network(np.random.default_rng(0), (9,))
    graph = net.done(net.linear("x", 4, 2))
    node = graph.nodes[0]
    made = Buffer("y", (4,), graph.tensors[graph.output].type, "arena")
    lanes = {}
    for bits in range(1, 9):
        read = Buffer("x", (9,), QType(bits, False, 1.0), "input")
        layer = form(node, node.weight, ConvGeometry(1, 1, 9, 1, 1, 4), read, made)
        lanes[bits] = 1 << (layer.fields["modes"] & 3)
    assert lanes == {1: 2, 2: 2, 3: 4, 4: 4, 5: 8, 6: 8, 7: 8, 8: 8}


def test_patches_side_by_side():
    size = ConvGeometry(4, 9, 100, 4, 4, 1, kernel=(1, 3), stride=(1, 2))
    assert gathered(size) == (SEGMENT_BYTES - 300) // 200 + 1 == 9
    assert gathered(replace(size, dilation=(1, 2))) == gathered(replace(size, in_c=339)) == 0


def test_the_limits_are_those_of_the_c():
    text = (KERNELS / "mico_dot.h").read_text()
    for name, value in (
        ("POSITIONS", POSITIONS),
        ("WORDS", BUFFER_WORDS),
        ("SEGMENT", SEGMENT_BYTES),
        ("RUN", RUN_BYTES),
    ):
        assert f"MICO_DOT_{name} = {value}," in text
