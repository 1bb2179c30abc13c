"""Networks whose numbers say little: channels, layers, tensors of zeros, magnitudes far apart, values that are not finite."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quant_networks import Drawn

from mico_runner.errors import UsageError
from mico_runner.graph import run_float
from mico_runner.ops.arithmetic import multiplier_and_shift
from mico_runner.quant import PTQ, Executor, dequantize_output, quantize_input, reference
from mico_runner.quant.assembly import ACCUMULATOR_LIMIT
from mico_runner.quant.bias import BIAS_LIMIT, settle
from mico_runner.quant.calibration import Statistics, activation_type
from mico_runner.quant.qgraph import ACTIVATION_BITS, WEIGHT_BITS, LayerBits, QType
from mico_runner.sections import ActivationOptions, WeightOptions

PAIRS = [(8, 8), (8, 4), (4, 4), (1.5, 8), (1, 8)]
CHANNELS, SIZE = 8, 3


def network(kind="conv", seed=0):
    """Two layers of one kind and a linear one, and images for them: (graph, images)."""
    rng = np.random.default_rng(seed)
    drawn = Drawn(rng, (24,) if kind == "linear" else (CHANNELS, SIZE, SIZE))
    if kind == "linear":
        x = drawn.relu(drawn.linear(drawn.relu(drawn.linear("input", 16)), 16))
    else:
        groups = {"conv": 1, "grouped": 4, "depthwise": CHANNELS}[kind]
        x = drawn.relu(drawn.conv("input", CHANNELS, (3, 3), padding=(1, 1), groups=groups))
        x = drawn.flatten(drawn.relu(drawn.conv(x, 4, (3, 3), padding=(1, 1))))
    graph = drawn.graph(drawn.linear(x, 5))
    for node in graph.weighted:
        node.weight[:] = rng.normal(0, 1, node.weight.shape) / np.sqrt(node.weight[0].size)
    nodes = [replace(n, bias=np.zeros(len(n.weight), np.float32)) if n.weight is not None else n for n in graph.nodes]
    for node in nodes:
        if node.bias is not None:
            node.bias[:] = rng.uniform(-0.5, 0.5, len(node.bias))
    images = 20 * rng.random((16, *drawn.shapes["input"]), dtype=np.float32)
    return replace(graph, nodes=tuple(nodes)), images


def outputs(graph, images, pairs=PAIRS, **options):
    """For each pair of bits the float network's and the integer network's outputs, and a step of them.

    What must hold of every integer network is checked.
    """
    ptq = PTQ(graph, images, **options)
    wanted = run_float(graph, images).numpy().astype(np.float64)
    for bits in pairs:
        qgraph = ptq.quantize({node.name: LayerBits(*bits) for node in graph.weighted})
        for node in qgraph.nodes:
            if node.weight is not None:
                assert node.weight_bits != 1 or (node.weight != 0).all()
                assert np.abs(node.bias.astype(np.int64)).max() <= BIAS_LIMIT
        x = quantize_input(qgraph, images)
        found = reference.run(qgraph, x)
        np.testing.assert_array_equal(Executor(qgraph).run(x), found)
        yield wanted, dequantize_output(qgraph, found), qgraph.tensors[qgraph.output].type.scale


def decibels(wanted, found):
    """Signal to quantisation noise, constant offsets left out."""
    wanted, found = wanted - wanted.mean(0), found - found.mean(0)
    return 10 * np.log10((wanted**2).sum() / ((found - wanted) ** 2).sum())


@pytest.mark.parametrize(("granularity", "scale"), [("channel", "mse"), ("tensor", "mse"), ("channel", "minmax")])
@pytest.mark.parametrize("kind", ["conv", "grouped", "depthwise", "linear"])
def test_filters_of_zeros_are_no_worse_than_tiny_ones(kind, scale, granularity):
    found = []
    for left in (0.0, 1e-9):
        graph, images = network(kind)
        graph.weighted[0].bias[:] = np.abs(graph.weighted[0].bias) + 0.1
        graph.weighted[0].weight[::2] *= left
        runs = outputs(graph, images, weights=WeightOptions(granularity, scale))
        found.append([decibels(wanted, got) for wanted, got, _ in runs])
    np.testing.assert_allclose(*found, atol=0.1)


@pytest.mark.parametrize("top", [1e-3, 1.0, 100.0])
@pytest.mark.parametrize("granularity", ["channel", "tensor"])
def test_a_channel_of_zeros_is_its_bias(granularity, top):
    drawn = Drawn(np.random.default_rng(1), (2, 5, 5))
    graph = drawn.graph(drawn.conv("input", 4, (3, 3), padding=(1, 1)))
    (node,) = graph.weighted
    weight = np.random.default_rng(2).normal(0, 0.2, node.weight.shape).astype(np.float32)
    weight[1:3] = 0
    node = replace(node, weight=weight, bias=np.array([0.1, 0.3, 0, -0.2], np.float32))
    images = top * np.random.default_rng(0).random((32, 2, 5, 5), dtype=np.float32)
    pairs = [*PAIRS, (8, 2), (2, 2)]
    runs = outputs(replace(graph, nodes=(node,)), images, pairs, weights=WeightOptions(granularity))
    for _, found, step in runs:
        assert np.abs(found[:, 1] - 0.3).max() <= 0.51 * step
        assert not found[:, 2].any()


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_zeros_within_a_filter_say_nothing_at_one_bit(share):
    found = []
    for left in (0.0, 1e-9):
        graph, images = network(seed=3)
        rng = np.random.default_rng(4)
        for node in graph.weighted:
            node.weight[rng.random(node.weight.shape) < share] *= left
        found += [decibels(wanted, got) for wanted, got, _ in outputs(graph, images, [(1, 8)])]
    assert found[0] > found[1] - 0.1


def scaled(layer, weights=1.0, bias=1.0, part=slice(None)):
    def change(layers):
        layers[layer].weight[part] *= np.float32(weights)
        layers[layer].bias[part] *= np.float32(bias)

    return change


def each(*changes):
    return lambda layers: [change(layers) for change in changes]


REGIMES = {
    "as it is": (scaled(0), 1),
    "a layer of zeros": (scaled(1, 0), 1),
    "a layer of 1e-5": (scaled(1, 1e-5), 1),
    "a layer of 1e-9": (scaled(1, 1e-9), 1),
    "a layer of denormals": (scaled(1, 1e-44), 1),
    "channels of 1e-3, 1e-30": (each(scaled(0, 1e-3, part=slice(0, 2)), scaled(0, 1e-30, part=3)), 1),
    "channels without weights and bias": (scaled(0, 0, bias=0, part=slice(0, 3)), 1),
    "a constant network": (scaled(2, 0), 1),
    "nothing but biases": (each(*(scaled(i, 0) for i in range(3))), 1),
    "nothing at all": (each(*(scaled(i, 0, 0) for i in range(3))), 1),
    "a ReLU that lets nothing through": (lambda layers: layers[0].bias.fill(-1e4), 1),
    "biases of 1e6": (scaled(0, bias=1e6), 1),
    "biases of 1e30": (scaled(0, bias=1e30), 1),
    "weights and biases of 1e30": (scaled(0, 1e30, 1e30), 1),
    "weights and biases of 1e-30": (scaled(0, 1e-30, 1e-30), 1),
    "black images": (scaled(0), 0),
    "images of 1e30": (scaled(0), 1e30),
    "images of 1e-30": (scaled(0), 1e-30),
    "denormal images": (scaled(0), 1e-44),
}
ALLOWED = {
    (8, 8): 0.02,
    (4, 4): 0.25,
    (1.5, 8): 0.7,
    (1, 8): 0.8,
}  # of the output's size; what is not its own noise is above 1


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("granularity", ["channel", "tensor"])
@pytest.mark.parametrize("regime", REGIMES)
def test_every_magnitude(regime, granularity):
    change, size = REGIMES[regime]
    graph, images = network()
    images *= np.float32(size / 20)
    change(graph.weighted)
    runs = outputs(graph, images, list(ALLOWED), weights=WeightOptions(granularity))
    for (bits, allowed), (wanted, found, step) in zip(ALLOWED.items(), runs, strict=True):
        size_of_output = np.sqrt((wanted**2).mean())
        assert np.sqrt(((found - wanted) ** 2).mean()) <= allowed * size_of_output + step, (regime, bits)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_biases_fit_and_say_what_they_stand_for(seed):
    rng = np.random.default_rng(seed)
    bits = float(rng.choice(WEIGHT_BITS))
    taps = int(rng.integers(1, 5000))
    read = QType(int(rng.choice(ACTIVATION_BITS)), bool(rng.integers(2)), float(10.0 ** rng.uniform(-38, 30)))
    made = QType(int(rng.choice([1, 2, 4, 8, 16])), bool(rng.integers(2)), float(10.0 ** rng.uniform(-38, 30)))
    weight = np.where(rng.random((6, taps)) < 0.5, -1, 1).astype(np.int8)
    scales = 10.0 ** rng.uniform(-45, 30, 6)
    scales[:3], weight[:3] = 0, 0
    bias = made.scale * made.qmax * rng.uniform(-1, 1, 6)
    bias[0] = 0.0
    weight, scales, whole = settle(weight, scales, bias, bits, read, made)
    assert (scales > 0).all() and np.isfinite(scales).all() and weight.dtype == np.int8
    assert bits != 1 or (weight != 0).all()
    reach = np.abs(weight.astype(np.int64)).sum(1) * max(-read.qmin, read.qmax)
    assert np.abs(whole).max() <= BIAS_LIMIT and (np.abs(whole) + reach).max() < ACCUMULATOR_LIMIT
    multiplier, shift = multiplier_and_shift(read.scale * scales / made.scale).values()
    steps = whole[:3] * np.ldexp(multiplier[:3].astype(float), -shift[:3])  # without the products
    wanted = bias[:3] / made.scale
    np.testing.assert_allclose(steps, wanted, atol=2**-8, rtol=2**-20)
    if bits == 1:  # both signs as often, as far as the number of taps allows
        assert np.abs(weight[:3].sum(1)).max() <= 1
        shared = reach[:3] * np.ldexp(multiplier[:3].astype(float), -shift[:3])
        assert (shared <= np.maximum(2**-7, np.abs(wanted) * reach[:3] / 2**26)).all()


def test_a_sample_without_what_is_not_zero_keeps_the_range():
    assert activation_type(Statistics(0.0, 5.1, np.zeros(10)), 8, "mse", 99.9).scale == pytest.approx(0.02)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("what", ["weight", "bias"])
def test_weights_that_are_not_finite_name_the_layer(what, value):
    graph, images = network()
    getattr(graph.weighted[1], what).flat[2] = value
    with pytest.raises(
        UsageError, match=rf"layer 'conv2d.2': {what}: 1 of \d+ values are not finite, the first is {value}"
    ):
        PTQ(graph, images)


@pytest.mark.parametrize(
    ("value", "dtype"), [(np.nan, np.float32), (np.inf, np.float32), (-np.inf, np.float32), (1e300, np.float64)]
)
def test_images_that_are_not_finite_are_counted(value, dtype):
    graph, images = network()
    images = images.astype(dtype)
    images[5, 0, 1, 1] = images[7, 0, 0, 0] = value
    with pytest.raises(UsageError, match=r"calibration image 5 .counted from 0. is not finite, nor are 1 others"):
        PTQ(graph, images)
    PTQ(graph, images, activations=ActivationOptions(images=5))  # the others are not used


def test_an_overflow_inside_the_network_names_the_layer():
    graph, images = network()
    for node in graph.weighted:
        node.weight[:] *= 1e25
    with pytest.raises(UsageError, match=r"layer 'conv2d.2' \(conv2d\): .*float32 overflows"):
        PTQ(graph, images)
