"""The kernels for wide registers give the integers of `quant.reference`: shapes, bits, strides, paddings, any set of registers."""

from __future__ import annotations

import shutil
from unittest.mock import patch

import numpy as np
import pytest
from codegen_graphs import OUTPUT, Network
from test_codegen_differential import assert_same

from mico_runner.codegen.lowering import lower
from mico_runner.codegen.packing import row_words
from mico_runner.codegen.policy import KernelPolicy
from mico_runner.codegen.simd import blocks
from mico_runner.quant.qgraph import QGraph
from mico_runner.targets import host

POLICY = KernelPolicy.of("host")
PAIRS = [(w, a, s) for w in (1, 1.5, 2, 3, 4, 5, 6, 7, 8) for a in (1, 4, 8) for s in (False, True)]
FEW = PAIRS[::5]
NATIVE = f"{host.SANITIZE} {host.NATIVE}"


def layer(pair: tuple[float, int, bool], rng: np.random.Generator, depthwise: bool) -> QGraph:
    """A convolution of random shape; its output is the network's, or is read by another layer as bytes."""
    weight_bits, act_bits, signed = pair
    channels, h, w = (int(v) for v in rng.integers([1, 1, 1], [40 if depthwise else 12, 12, 12]))
    padding = tuple(int(v) for v in rng.integers(0, 3, 2))
    dilation = (1, 1) if rng.integers(3) else tuple(int(v) for v in rng.integers(1, 3, 2))
    room = [(s + 2 * p - 1) // d + 1 for s, p, d in zip((h, w), padding, dilation, strict=True)]
    kernel = (3, 3) if rng.integers(2) else rng.integers(1, 6, 2)
    kernel = tuple(int(min(k, r)) for k, r in zip(kernel, room, strict=True))
    net = Network(rng, (channels, h, w), act_bits, signed)
    shape = {"padding": padding, "dilation": dilation, "groups": channels if depthwise else 1}
    stride = tuple(int(v) for v in rng.integers(1, 4, 2))
    outputs = channels if depthwise else int(rng.integers(1, 70))
    extreme = rng.choice([None, None, "low", "high"])
    y = net.conv("x", outputs, kernel, weight_bits, stride, extreme=extreme, to=net.some_type(), **shape)
    return net.done(y if rng.integers(2) else net.requant(y, OUTPUT))


def linear(bits: float, rng: np.random.Generator) -> QGraph:
    """Of at least one whole block of outputs and for one position, fewer than the kernel takes at once."""
    inputs, outputs = 4 * int(rng.integers(1, 20)), int(rng.integers(16, 40))
    net = Network(rng, (inputs,), 8, bool(rng.integers(2)))
    return net.done(net.linear("x", outputs, bits, rng.choice([None, "low", "high"])))


@pytest.mark.skipif(not (shutil.which("gcc") and shutil.which("make")), reason="needs gcc and make")
@pytest.mark.parametrize(
    ("flags", "pairs"),
    [
        (NATIVE, FEW),
        pytest.param(NATIVE, PAIRS, marks=pytest.mark.nightly),
        pytest.param(f"{host.SANITIZE} -mavx2", PAIRS, marks=pytest.mark.nightly),
        pytest.param(host.SANITIZE, PAIRS, marks=pytest.mark.nightly),
    ],
)
def test_every_width_of_weights_and_any_shape(tmp_path, flags, pairs):
    rng = np.random.default_rng(len(flags))
    graphs = [layer(pair, rng, depthwise) for pair in pairs for depthwise in (False, True)]
    graphs += [linear(bits, rng) for bits in (1, 1.5, 2, 3, 4, 5, 6, 7, 8)]
    calls = [call.kernel for graph in graphs for call in lower(graph, POLICY).calls]
    assert calls.count("conv2d_simd") > 0.8 * len(pairs) and calls.count("depthwise_simd") > 0.7 * len(pairs)
    with patch.object(host, "SANITIZE", flags):
        assert_same(graphs, tmp_path, sanitize=True)


@pytest.mark.parametrize("bits", range(1, 9))
def test_blocks_take_the_space_of_packed_rows_and_hold_each_weight_once(bits):
    rng = np.random.default_rng(bits)
    for count, taps, piece in ((5, 9, 9), (17, 27, 9), (33, 8, 4)):
        rows = np.zeros((count, taps), np.int8) if bits > 1 else -np.ones((count, taps), np.int8)
        at = tuple(int(rng.integers(size)) for size in rows.shape)
        rows[at] = 1
        words = blocks(rows, bits, piece)
        assert words.shape == (count, row_words(taps, bits))
        assert np.unpackbits(words.view(np.uint8)).sum() == 1
