"""The generated C gives the integers of `quant.reference`, bit for bit."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from codegen_graphs import OUTPUT, Network, images, pair_network, random_network
from torch import nn

from mico_runner.codegen import RUNTIMES
from mico_runner.codegen.policy import KernelPolicy
from mico_runner.graph import capture
from mico_runner.graph.ir import Graph, Node
from mico_runner.quant import PTQ, reference
from mico_runner.quant.qgraph import ACTIVATION_BITS, TERNARY, WEIGHT_BITS, LayerBits, QGraph, QType
from mico_runner.targets.host_kernels import POLICY, build_networks, run_networks

pytestmark = pytest.mark.skipif(not (shutil.which("gcc") and shutil.which("make")), reason="needs gcc and make")

U4, S4 = QType(4, False, 0.5), QType(4, True, 0.5)


def assert_same(graphs: Sequence[QGraph], folder: Path, sanitize: bool = False, policy: KernelPolicy = POLICY) -> None:
    rng = np.random.default_rng(5)
    inputs = [images(graph, rng) for graph in graphs]
    binary = build_networks(graphs, folder, sanitize, policy)
    for i, (graph, x, found) in enumerate(zip(graphs, inputs, run_networks(binary, inputs), strict=True)):
        expected = reference.run(graph, x)
        assert found.dtype == np.int32
        np.testing.assert_array_equal(found, expected, err_msg=f"network {i}: {[n.op for n in graph.nodes]}")


def special_networks(rng: np.random.Generator) -> list[QGraph]:
    """One network per feature that a random one may miss."""
    graphs = []

    def network(shape: tuple[int, ...], bits: int = 8, signed: bool = False) -> Network:
        net = Network(rng, shape, bits, signed)
        graphs.append(net)
        return net

    outputs = []
    n = network((3, 7, 5))
    outputs.append(n.conv("x", 4, (3, 3), 8, (2, 3), (2, 1), (2, 1)))  # image as the network's output
    n = network((2, 7, 8))
    outputs.append(n.conv("x", 3, (3, 2), 5, (1, 2), (1, 2), (2, 3)))  # dilated, the padding no multiple of it
    n = network((1, 1, 1))
    outputs.append(n.conv("x", 1, (1, 1), 1))
    n = network((2, 3, 3))
    outputs.append(n.conv("x", 2, (5, 5), 4, padding=(2, 2)))  # every position is cut at the border
    n = network((1, 4, 4), signed=True)
    outputs.append(n.conv("x", 2, (3, 3), 2, padding=(4, 4)))  # windows that lie in the padding alone
    n = network((4, 9))
    outputs.append(n.linear("x", 5, 3))  # tokens
    n = network((2, 3, 6))
    outputs.append(n.linear("x", 5, 4))  # acts on W of (C, H, W)
    n = network((2, 3, 6))
    outputs.append(n.conv(n.linear("x", 4, 4, to=U4), 3, (2, 2), 5))
    n = network((6, 2, 2))
    outputs.append(n.linear(n.reshape("x", (6, 4)), 5, 6))  # channels become tokens: a transposing copy
    n = network((3, 2, 4))
    outputs.append(n.reshape("x", None))  # no kernel but the copy, flattened in the IR's order
    n = network((3, 2, 4))
    outputs.append(n.reshape("x", (4, 3, 2)))
    n = network((5,))
    outputs.append("x")  # no node at all
    n = network((3, 2, 4))
    outputs.append(n.conv(n.reshape(n.linear(n.reshape("x", None), 18, 7, to=U4), (2, 3, 3)), 2, (2, 2), 3))
    n = network((3, 2, 4))
    flat = n.reshape("x", None)
    outputs.append(n.add(n.linear(flat, 4, 8, to=S4), n.linear(n.requant(flat, S4), 4, 8, to=U4), to=OUTPUT))
    n = network((3, 2, 4))
    outputs.append(n.linear(n.reshape(n.reshape("x", None), (1, 24)), 4, TERNARY))
    n = network((2, 4, 4))
    a = n.conv("x", 2, (1, 1), 8, to=OUTPUT)  # 16 bits inside the network
    outputs.append(n.reshape(n.pool("avg_pool2d", a, (4, 4), (4, 4), to=OUTPUT), None))
    n = network((2, 4, 4))
    outputs.append(n.pool("max_pool2d", n.conv("x", 3, (1, 1), 8, to=OUTPUT), (3, 3), (1, 1), (1, 1)))
    n = network((2, 4, 4))
    a = n.conv("x", 2, (1, 1), 8, to=OUTPUT)  # the output is read again
    n.conv(n.requant(a, U4), 2, (1, 1), 2)
    outputs.append(a)
    n = network((2, 4, 4))
    a = n.conv("x", 2, (1, 1), 8, to=U4)
    n.conv(a, 2, (1, 1), 2)
    outputs.append(a)
    for axis in (0, 1, 2):
        n = network((2, 3, 4), 1, True)
        outputs.append(n.concat(["x", n.requant("x"), "x"], axis, to=S4))
    n = network((7,))
    outputs.append(n.concat(["x", n.requant("x", S4)], 0))
    for to in (QType(1, True, 0.5), QType(1, False, 0.5), QType(8, True, 0.5)):
        n = network((3, 4, 4), 3, True)
        y = n.add(n.conv("x", 3, (3, 3), 4, padding=(1, 1), to=S4), "x", to=to)
        outputs.append(n.pool("avg_pool2d", y, (3, 2), (2, 1), (1, 1), to=to))
    n = network((3, 4, 4))
    outputs.append(n.add(n.conv("x", 3, (1, 1), 4, to=U4, relu_max=9), "x", to=U4, relu_max=6))
    n = network((3, 4, 4))  # of two inputs without a sign, into one that has it
    outputs.append(n.requant(n.sub("x", n.requant("x", QType(8, False, 0.9)), QType(8, True, 0.5)), OUTPUT))
    for extreme in ("low", "high"):  # the largest accumulators that fit, and the largest biases
        for signed in (False, True):
            n = network((4099,), 8, signed)
            bias = np.array([2**30, -(2**30), 0, -1]) * (1 if extreme == "high" else -1)
            outputs.append(n.linear("x", 4, 8, extreme=extreme, bias=bias, to=OUTPUT))
    return [net.done(output) for net, output in zip(graphs, outputs, strict=True)]


def degenerate_networks() -> list[QGraph]:
    """Quantised networks with channels of zeros and of next to nothing, huge biases, and a layer that reads zeros alone."""
    rng = np.random.default_rng(7)
    images = rng.random((8, 8, 6, 6), dtype=np.float32)
    attrs = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1)}
    graphs = []
    for groups, dark in ((1, False), (2, False), (8, False), (1, True)):
        first, second, last = (rng.normal(0, 0.3, s) for s in ((8, 8 // groups, 3, 3), (8, 8, 1, 1), (5, 288)))
        first[:3], first[3], second[::2] = 0, first[3] * 1e-9, 0
        bias = np.array([0.3, 0, -0.2, 0.4, 0, 0.1, 1e6, -0.3]) - (1e3 if dark else 0) * np.ones(8)
        layers = [
            ("conv2d", "input", attrs | {"groups": groups}, first, bias),
            ("relu", "conv2d.0", {"max": None}, None, None),
            ("conv2d", "relu.1", attrs | {"groups": 1, "padding": (0, 0)}, second, rng.normal(0, 0.1, 8)),
            ("reshape", "conv2d.2", {"shape": (288,)}, None, None),
            ("linear", "reshape.3", {}, last, np.linspace(-1, 1, 5)),
        ]
        nodes = tuple(
            Node(f"{op}.{i}", op, (x,), f"{op}.{i}", a, *(None if v is None else v.astype(np.float32) for v in arrays))
            for i, (op, x, a, *arrays) in enumerate(layers)
        )
        shapes = {node.output: (8, 6, 6) for node in nodes[:3]} | {"reshape.3": (288,), "linear.4": (5,)}
        ptq = PTQ(Graph("degenerate", ("input",), ("linear.4",), nodes, {"input": (8, 6, 6)} | shapes), images)
        for bits in ((8, 8), (4, 4), (TERNARY, 8), (1, 8), (1, 1)):
            graphs.append(ptq.quantize({node.name: LayerBits(*bits) for node in nodes if node.weight is not None}))
    return graphs


def random_networks(count: int, seed: int) -> list[QGraph]:
    return [random_network(np.random.default_rng([seed, i])) for i in range(count)]


def pair_networks(signs: Sequence[bool]) -> list[QGraph]:
    pairs = [(w, a, s) for w in WEIGHT_BITS for a in ACTIVATION_BITS for s in signs]
    return [pair_network(*pair, np.random.default_rng(i)) for i, pair in enumerate(pairs)]


def test_special_networks(tmp_path):
    assert_same(special_networks(np.random.default_rng(0)), tmp_path)


def test_special_networks_under_sanitizers(tmp_path):
    assert_same(special_networks(np.random.default_rng(1)), tmp_path, sanitize=True)


def test_random_networks(tmp_path):
    assert_same(random_networks(40, seed=1), tmp_path)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_degenerate_networks(runtime, tmp_path):
    assert_same(degenerate_networks(), tmp_path, sanitize=True, policy=KernelPolicy.of(runtime))


@pytest.mark.slow
def test_every_pair_of_bits(tmp_path):
    assert_same(pair_networks([False, True]), tmp_path)


@pytest.mark.slow
def test_every_pair_of_bits_under_sanitizers(tmp_path):
    assert_same(pair_networks([False]), tmp_path, sanitize=True)


@pytest.mark.slow
def test_many_random_networks_under_sanitizers(tmp_path):
    assert_same(random_networks(150, seed=2), tmp_path, sanitize=True)


class Stream(nn.Module):
    """Convolutions of every kind and a layer that write 16 bits: to sums, a pool and norms, which read them, and to each other at 8."""

    def __init__(self) -> None:
        super().__init__()
        self.start, self.depthwise, self.mix = (
            nn.Conv2d(3, 8, 3, padding=1),
            nn.Conv2d(8, 8, 3, 1, 1, groups=8),
            nn.Conv2d(8, 8, 1),
        )
        self.norms, self.layer, self.head = (
            nn.ModuleList(nn.LayerNorm(8) for _ in range(3)),
            nn.Linear(8, 8),
            nn.Linear(8, 5),
        )
        with torch.no_grad():
            for layer in (self.start, self.depthwise, self.mix):
                layer.weight[0] *= 100  # so large that 8 bits for all channels leave the others little

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.max_pool2d(self.start(x), 2)
        x = x + self.mix(self.norms[0](self.depthwise(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2))
        x = x.flatten(2).transpose(1, 2)
        x = x + self.layer(self.norms[1](x))
        return self.head(self.norms[2](x))[:, 0]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_streams_of_16_bits(runtime, tmp_path):
    torch.manual_seed(0)
    graph = capture(Stream(), (3, 8, 8), "stream")
    ptq = PTQ(graph, np.random.default_rng(0).normal(size=(16, 3, 8, 8)).astype(np.float32))
    bits = [LayerBits(8, 8), LayerBits(4, 8), LayerBits(2, 4), LayerBits(1, 8)]
    graphs = [ptq.quantize({n.name: each for n in graph.weighted}) for each in bits]
    wide = {node.op for node in graphs[0].nodes if graphs[0].tensors[node.output].type.bits == 16}
    assert {"conv2d", "linear", "add", "max_pool2d", "permute"} <= wide
    assert_same(graphs, tmp_path, sanitize=True, policy=KernelPolicy.of(runtime))
