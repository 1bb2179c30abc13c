"""The depthwise kernel gives the integers of `quant.reference`: shapes, bits, strides, paddings, under sanitizers."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import replace

import numpy as np
import pytest
from codegen_graphs import OUTPUT, Network
from test_codegen_differential import assert_same

from mico_runner import codegen
from mico_runner.codegen import depthwise
from mico_runner.codegen.depthwise import lanes_of
from mico_runner.codegen.lowering import lower
from mico_runner.codegen.policy import KernelPolicy
from mico_runner.quant import reference
from mico_runner.quant.qgraph import QGraph, QType, storage_bits
from mico_runner.targets import rtl
from mico_runner.targets.one_kernel import single_layer

needs_gcc = pytest.mark.skipif(not (shutil.which("gcc") and shutil.which("make")), reason="needs gcc and make")
TOOLS = ("verilator", "riscv64-unknown-elf-gcc", "g++", "make")
needs_rtl = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)) or importlib.util.find_spec("pythondata_cpu_vexriscv") is None,
    reason="needs verilator, a RISC-V gcc and pythondata-cpu-vexriscv (make setup-rtl)",
)
POLICY = KernelPolicy()
PAIRS = [(w, a, s) for w in (1, 1.5, 2, 3, 4, 5, 6, 7, 8) for a in (1, 2, 4, 7, 8) for s in (False, True)]


def layer(weight_bits: float, act_bits: int, signed: bool, rng: np.random.Generator, kernel=None) -> QGraph:
    """A depthwise convolution of random shape; its output is the network's, or is read by another one as bytes."""
    channels, h, w = (int(v) for v in rng.integers([2, 1, 1], [10, 16, 12]))
    padding = tuple(int(v) for v in rng.integers(0, 3, 2))
    dilation = (1, 1) if rng.integers(3) else tuple(int(v) for v in rng.integers(1, 3, 2))
    room = [(s + 2 * p - 1) // d + 1 for s, p, d in zip((h, w), padding, dilation, strict=True)]
    kernel = tuple(min(k, r) for k, r in zip(kernel or rng.integers(1, 6, 2).tolist(), room, strict=True))
    net = Network(rng, (channels, h, w), act_bits, signed)
    shape = {"padding": padding, "dilation": dilation, "groups": channels}
    stride = tuple(int(v) for v in rng.integers(1, 4, 2))
    extreme = rng.choice([None, None, "low", "high"])
    y = net.conv("x", channels, kernel, weight_bits, stride, extreme=extreme, to=net.some_type(), **shape)
    return net.done(y if rng.integers(2) else net.requant(y, OUTPUT))


@needs_gcc
@pytest.mark.parametrize("sanitize", [pytest.param(False, marks=pytest.mark.nightly), True])
@pytest.mark.parametrize("kernel", [(3, 3), None])
def test_every_pair_of_bits_and_any_shape(tmp_path, sanitize, kernel):
    rng = np.random.default_rng([int(sanitize), kernel is None])
    graphs = [layer(*pair, rng, kernel) for pair in PAIRS for _ in range(2)]
    calls = [call.kernel for graph in graphs for call in lower(graph, POLICY).calls]
    assert calls.count("depthwise") > 0.95 * len(graphs)
    assert_same(graphs, tmp_path, sanitize)


@needs_gcc
@pytest.mark.parametrize("sanitize", [pytest.param(False, marks=pytest.mark.nightly), True])
def test_four_channels_at_a_time(tmp_path, monkeypatch, sanitize):
    monkeypatch.setattr(depthwise, "CACHE", 0)
    rng = np.random.default_rng([2, int(sanitize)])
    graphs = []
    for weight_bits, act_bits, signed in PAIRS:
        net = Network(rng, (4 * int(rng.integers(24, 40)), *(int(v) for v in rng.integers(3, 8, 2))), act_bits, signed)
        shape = {"padding": tuple(int(v) for v in rng.integers(0, 2, 2)), "groups": net.tensors["x"].shape[0]}
        stride = tuple(int(v) for v in rng.integers(1, 3, 2))
        y = net.conv("x", shape["groups"], (3, 3), weight_bits, stride, to=net.some_type(), **shape)
        graphs.append(net.done(net.requant(y, OUTPUT)))
    calls = [call.fields for graph in graphs for call in lower(graph, POLICY).calls if call.kernel == "depthwise"]
    assert {c["lanes"] for c in calls if c["channel_block"] == 4} == {1, 2, 4}
    assert sum(c["channel_block"] == 4 for c in calls) > 0.9 * len(calls)
    assert_same(graphs, tmp_path, sanitize)


def test_four_channels_at_a_time_where_their_rows_leave_a_small_cache():
    rng = np.random.default_rng(0)
    sizes = {7: 1, 14: 1, 16: 4}  # the last two leave it, but scratch of four channels would be above two rows of 14
    shape = {"in_channels": 64, "kernel_h": 3, "kernel_w": 3, "rng": rng}
    graphs = {size: single_layer("depthwise", in_h=size + 2, in_w=size + 2, **shape) for size in sizes}
    assert {size: lower(graph, POLICY).calls[0].fields["channel_block"] for size, graph in graphs.items()} == sizes


def test_a_program_calls_the_function_of_its_layers():
    """So that it links no other; a caller's buffer may lie anywhere, the arena's are aligned."""
    net = Network(np.random.default_rng(0), (64, 16, 16), 8)
    layer = {"padding": (1, 1), "groups": 64, "to": QType(8, False, 1.0)}
    y = net.conv("x", 64, (3, 3), 8, **layer)
    y = net.conv(y, 64, (3, 3), 8, **layer)
    y = net.conv(y, 64, (3, 3), 8, (2, 2), **layer)
    y = net.conv(y, 64, (3, 3), 1, **layer)
    y = net.conv(y, 64, (2, 2), 8, **layer)
    functions = [call.function for call in lower(net.done(y), POLICY).calls if call.kernel == "depthwise"]
    assert functions == [f"mico_depthwise{part}" for part in ("", "_block_1", "_block_1", "_nine_2", "_any")]


@pytest.mark.parametrize(
    ("weight_bits", "act_bits", "lanes"), [(8, 8, 1), (4, 8, 2), (1, 8, 2), (8, 4, 2), (4, 4, 2), (4, 2, 4), (1, 1, 4)]
)
def test_as_many_rows_share_a_word_as_their_sums_allow(weight_bits, act_bits, lanes):
    largest = 9 * max(1, 1 << (weight_bits - 1))  # of 3 x 3 weights
    activation = QType(act_bits, False, 1.0)
    assert lanes_of(largest, activation, rows=8) == lanes
    assert largest * activation.qmax < 1 << 32 // lanes
    assert lanes == 4 or largest * activation.qmax >= 1 << 16 // lanes


@pytest.mark.parametrize(("rows", "lanes"), [(1, 1), (2, 2), (3, 1), (4, 4), (5, 4)])
def test_no_word_has_rows_that_the_output_lacks(rows, lanes):
    assert lanes_of(9, QType(1, False, 1.0), rows) == lanes


def test_weights_take_their_true_size_and_scratch_is_less_than_two_rows():
    for weight_bits in (1, 2, 3, 4, 8):
        rng = np.random.default_rng(0)
        graph = single_layer(
            "depthwise", in_channels=64, in_h=16, in_w=16, kernel_h=3, kernel_w=3, weight_bits=weight_bits, rng=rng
        )
        (call,) = lower(graph, POLICY).calls
        assert call.weights.words.shape == (64, -(-9 * storage_bits(weight_bits) // 32))
        assert call.scratch_bytes <= 2 * 14 * 64


def test_a_multiplier_that_is_too_large_keeps_the_plain_kernel():
    rng = np.random.default_rng(0)
    graph = single_layer("depthwise", in_channels=4, in_h=6, in_w=6, kernel_h=3, kernel_w=3, rng=rng)
    (node,) = graph.nodes
    scales = {"multiplier": np.full(4, 1 << 21, np.int32), "shift": np.full(4, 1, np.int32)}
    assert [call.kernel for call in lower(graph, POLICY).calls] == ["depthwise"]
    assert [
        call.kernel
        for call in lower(replace(graph, nodes=(replace(node, constants=node.constants | scales),)), POLICY).calls
    ] == ["conv2d"]


@needs_rtl
def test_cycles_do_not_depend_on_data_and_fewer_bits_take_fewer(tmp_path):
    rng = np.random.default_rng(0)
    shape = {"in_channels": 16, "in_h": 12, "in_w": 12, "kernel_h": 3, "kernel_w": 3}
    bits = [(8, 8), (8, 4), (4, 1)]
    graphs = [single_layer("depthwise", **shape, act_bits=a, weight_bits=w, rng=rng) for a, w in bits]
    graphs = [replace(graph, name=f"network{i}") for i, graph in enumerate(graphs)]
    codegen.generate_networks(graphs, tmp_path, KernelPolicy.of("baremetal"))
    images = [
        np.concatenate([rng.integers(0, 1 << a, (1, 16, 10, 10)), np.zeros((1, 16, 10, 10), int)]) for a, _ in bits
    ]
    runs = rtl.run(rtl.build(tmp_path), images, on="full")
    for graph, x, run in zip(graphs, images, runs, strict=True):
        assert np.array_equal(run.outputs, reference.run(graph, x))
    cycles = [
        run.cycles[1].sum() for run in runs
    ]  # of the second image, code and weights in the caches for what fits them
    assert cycles[2] < cycles[1] < cycles[0]
    again = rtl.run(rtl.build(tmp_path), [x[::-1] for x in images], on="full")
    assert [run.cycles[1].sum() for run in again] == cycles
