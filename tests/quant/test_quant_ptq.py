"""Choices of PTQ: weights, activation types, which bits a tensor is stored at, errors, accuracy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from quant_networks import Drawn, random_bits, random_graph, random_images
from torch import nn

from mico_runner.errors import StepError, UsageError
from mico_runner.graph import capture, run_float
from mico_runner.quant import PTQ, Executor, dequantize_output, quantize_input
from mico_runner.quant.assembly import reads_8_bits
from mico_runner.quant.calibration import Statistics, activation_type, to_integers
from mico_runner.quant.qgraph import TERNARY, WEIGHT_BITS, LayerBits
from mico_runner.quant.weights import round_weights, weight_range, weight_scales
from mico_runner.sections import ActivationOptions, WeightOptions

seeds = st.integers(0, 2**32 - 1)


def uniform(graph, weight, activation):
    return {n.name: LayerBits(weight, activation) for n in graph.weighted}


def rng_of(seed=0):
    return np.random.default_rng(seed)


@given(seeds, st.sampled_from(WEIGHT_BITS), st.sampled_from(["channel", "tensor"]), st.sampled_from(["mse", "minmax"]))
def test_weight_quantisers(seed, bits, granularity, method):
    rng = rng_of(seed)
    weight = rng.normal(0, 1, (4, 3, 2, 2)) * 10.0 ** rng.integers(-6, 6)
    dead = rng.integers(4)
    weight[dead] = 0
    scales = weight_scales(weight, bits, granularity, method)
    q = round_weights(weight, scales, bits)
    low, high = weight_range(bits)
    assert q.dtype == np.int8 and low <= q.min() and q.max() <= high
    assert ((scales > 0) == (np.arange(4) != dead)).all()  # no weights, no scale
    assert bits != 1 or set(np.unique(q)) <= {-1, 1}
    assert granularity == "channel" or len(set(scales[scales > 0])) == 1
    widest = weight_scales(weight, bits, granularity, "minmax")
    error, of_minmax = (
        ((round_weights(weight, s, bits) * s.reshape(-1, 1, 1, 1) - weight) ** 2).sum() for s in (scales, widest)
    )
    assert error <= of_minmax * (1 + 1e-9)


def test_known_weights():
    weight = np.array([[-4.0, 1.0, 2.9], [0.2, -0.4, 0.6]])
    np.testing.assert_allclose(weight_scales(weight, 3, "channel", "minmax"), [1.0, 0.2])
    np.testing.assert_array_equal(round_weights(weight, np.array([1.0, 0.2]), 3), [[-4, 1, 3], [1, -2, 3]])
    np.testing.assert_allclose(weight_scales(weight, 1, "channel", "mse"), np.abs(weight).mean(1))
    np.testing.assert_array_equal(round_weights(weight, np.array([1.0, 0.4]), TERNARY), [[-1, 1, 1], [0, -1, 1]])


@pytest.mark.parametrize("method", ["minmax", "percentile", "mse"])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_activation_types(method, bits):
    x = np.abs(rng_of().normal(0, 1, 5000))
    unsigned = activation_type(Statistics(x.min(), x.max(), x), bits, method, 99.0)
    assert not unsigned.signed and unsigned.scale * unsigned.qmax <= x.max() * (1 + 1e-9)
    signed = activation_type(Statistics(-x.max(), x.max() / 2, np.append(-x, x / 2)), bits, method, 99.0)
    assert signed.signed
    if bits == 1:
        assert signed.scale == pytest.approx(x.mean() * 0.75)
    elif method == "minmax":
        assert signed.scale == pytest.approx(max(x.max() / -signed.qmin, x.max() / 2 / signed.qmax))
    zeros = activation_type(Statistics(0.0, 0.0, np.zeros(10)), bits, method, 99.0)
    assert 0 < zeros.scale < 1e-37 and not zeros.signed


def test_mse_scale_is_better_than_minmax_and_percentile_clips():
    x = np.append(rng_of().exponential(1, 5000), 100.0)
    stats = Statistics(0.0, 100.0, x)
    types = {m: activation_type(stats, 4, m, 99.9) for m in ("minmax", "percentile", "mse")}
    errors = {m: ((to_integers(x, t) * t.scale - x) ** 2).sum() for m, t in types.items()}
    assert errors["mse"] < errors["minmax"] and types["percentile"].scale == pytest.approx(np.percentile(x, 99.9) / 15)


def test_pixels_are_taken_as_they_are():
    graph = random_graph(0)
    shape = graph.shapes["input"]
    images = (rng_of().integers(0, 256, (8, *shape)) / 255).astype(np.float32)
    images[0, 0, 0, 0] = 1
    qgraph = PTQ(graph, images).quantize(uniform(graph, 2, 2))
    assert qgraph.tensors["input"].type.scale == 1 / 255
    np.testing.assert_array_equal(quantize_input(qgraph, images), np.rint(images * 255))


def branches():
    """input -> conv.0, relu, max_pool -> conv.3 and conv.4 -> add, relu6 -> flatten, linear."""
    drawn = Drawn(rng_of(3), (2, 6, 6))
    x = drawn.pool(drawn.relu(drawn.conv("input", 4, (3, 3), padding=(1, 1))), "max_pool2d", (2, 2), (2, 2), (0, 0))
    y = drawn.add("add", [drawn.conv(x, 4, (1, 1)), drawn.conv(x, 4, (3, 3), padding=(1, 1))], (4, 3, 3))
    return drawn.graph(drawn.linear(drawn.flatten(drawn.relu(y, 6.0)), 3))


def test_bits_of_tensors_follow_their_readers():
    graph = branches()
    bits = {"conv2d.0": (8, 4), "conv2d.3": (2, 3), "conv2d.4": (2, 5), "linear.8": (8, 1)}
    qgraph = PTQ(graph, random_images(rng_of(), (2, 6, 6), 8)).quantize({k: LayerBits(*v) for k, v in bits.items()})
    found = {name: (t.type.bits, t.type.signed) for name, t in qgraph.tensors.items()}
    signed = found["input"][1]
    assert found == {
        "input": (8, signed), "input.to4": (4, signed), "relu.1": (5, False), "max_pool2d.2": (5, False),
        "max_pool2d.2.to3": (3, False), "conv2d.3": (8, True), "conv2d.4": (8, True), "relu.6": (1, False),
        "reshape.7": (1, False), "linear.8": (16, True),
    }  # fmt: skip
    ops = [(n.name, n.op) for n in qgraph.nodes]
    assert ("input.to4", "requant") in ops and ("add.5", "add") in ops and not any(op == "relu" for _, op in ops)
    assert qgraph.tensors["max_pool2d.2"].type == qgraph.tensors["relu.1"].type
    assert qgraph.tensors["relu.6"].type.scale * 1 <= 6.0


def test_requant_nodes_are_shared_and_a_lone_relu_becomes_one():
    drawn = Drawn(rng_of(5), (2, 5, 5))
    pooled = drawn.pool(drawn.conv("input", 4, (3, 3)), "avg_pool2d", (2, 2), (1, 1), (0, 0))
    x = drawn.relu(pooled)
    y = drawn.add("add", [drawn.conv(x, 4, (1, 1)), drawn.conv(x, 4, (1, 1))], (4, 2, 2))
    z = drawn.add("concat", [y, x, pooled], (12, 2, 2), {"axis": 0})
    graph = drawn.graph(z)
    qgraph = PTQ(graph, random_images(rng_of(), (2, 5, 5), 8)).quantize(uniform(graph, 4, 2))
    names = [n.name for n in qgraph.nodes]
    assert names.count("relu.2.to2") == 1 and len(set(names)) == len(names)
    lone = next(n for n in qgraph.nodes if n.name == "relu.2")
    assert lone.op == "requant" and not qgraph.tensors["relu.2"].type.signed and qgraph.tensors["relu.2"].type.bits == 8
    assert [len(n.multiplier) for n in qgraph.nodes if n.op in ("add", "concat")] == [2, 3]


@settings(max_examples=30, deadline=None)
@given(seeds, st.sampled_from([1, 2, 4, 7]))
def test_inputs_stored_whole_are_copied_for_the_layers_that_want_fewer_bits(seed, bits):
    graph = random_graph(seed)
    qgraph = PTQ(graph, random_images(rng_of(seed), graph.shapes["input"], 4)).quantize(uniform(graph, 4, bits))
    whole = reads_8_bits(graph)
    readers = {node.name: node.inputs[0] for node in qgraph.nodes if node.name in whole}
    assert readers == {layer: f"{tensor}.to{bits}" for layer, tensor in whole.items()}
    copies = {node.name for node in qgraph.nodes if node.name.endswith(f".to{bits}")}
    assert copies == set(readers.values())


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_contract_of_every_graph(seed):
    rng, graph = rng_of(seed), random_graph(seed)
    qgraph = PTQ(graph, random_images(rng, graph.shapes["input"], 4)).quantize(random_bits(rng, graph))
    assert qgraph.input == graph.input and qgraph.output == graph.output
    for node in qgraph.nodes:
        if node.op in ("max_pool2d", "reshape"):
            assert node.multiplier is None and qgraph.tensors[node.inputs[0]].type == qgraph.tensors[node.output].type
            continue
        assert node.multiplier.dtype == node.shift.dtype == np.int32
        assert (node.multiplier > 0).all() and (node.multiplier < 2**22).all()
        assert (node.shift >= 1).all() and (node.shift <= 52).all()
        if node.weight is not None:
            assert node.weight.dtype == np.int8 and node.bias.dtype == np.int32
            assert len(node.multiplier) == len(node.shift) == len(node.bias) == len(node.weight)
            low, high = weight_range(node.weight_bits)
            assert low <= node.weight.min() and node.weight.max() <= high
            assert node.weight_bits != 1 or (node.weight != 0).all()


def test_a_huge_bias_coarsens_its_channel_and_too_many_taps_are_an_error():
    drawn = Drawn(rng_of(1), (20,))
    graph = drawn.graph(drawn.linear("input", 3))
    graph.nodes[0].weight[1] *= 1e-9
    graph.nodes[0].bias[1] = 7.0
    images = random_images(rng_of(), (20,), 16)
    qgraph = PTQ(graph, images).quantize(uniform(graph, 8, 8))
    found = dequantize_output(qgraph, Executor(qgraph).run(quantize_input(qgraph, images)))
    np.testing.assert_allclose(found, run_float(graph, images), atol=0.15)
    graph.nodes[0].bias[1] = 7e15
    qgraph = PTQ(graph, images).quantize(uniform(graph, 8, 8))
    assert abs(int(qgraph.nodes[0].bias[1])) <= 2**30


def test_accumulator_overflow_names_the_layer():
    drawn = Drawn(rng_of(1), (70000,))
    graph = drawn.graph(drawn.linear("input", 2))
    ptq = PTQ(graph, random_images(rng_of(), (70000,), 2))
    flat = np.full((2, 70000), 127, np.int8)
    ptq.weights_at = lambda name, bits, read: (
        flat,
        np.ones(2),
        np.zeros(2),
    )  # solving for 70,000 columns would take an hour
    with pytest.raises(StepError, match=r"layer 'linear.0': its int32 accumulator could reach 2\d{9} .* 70000 taps"):
        ptq.quantize(uniform(graph, 8, 8))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": WeightOptions(granularity="group")}, "weights.granularity is 'group'; allowed: channel, tensor"),
        ({"weights": WeightOptions(scale="max")}, "weights.scale is 'max'; allowed: mse, minmax"),
        (
            {"activations": ActivationOptions(calibration="kl")},
            "activations.calibration is 'kl'; allowed: minmax, percentile, mse",
        ),
        ({"activations": ActivationOptions(images=0)}, "at least one calibration image"),
    ],
)
def test_bad_options(options, message):
    graph = random_graph(1)
    with pytest.raises(UsageError, match=message):
        PTQ(graph, np.ones((2, *graph.shapes["input"])), **options)


@pytest.mark.parametrize(
    ("bits", "message"), [((9, 8), "weight_bits of .* is 9"), ((8, 1.5), "activation_bits of .* is 1.5")]
)
def test_bits_that_do_not_exist(bits, message):
    graph = random_graph(1)
    with pytest.raises(UsageError, match=message):
        PTQ(graph, np.ones((2, *graph.shapes["input"]))).quantize(uniform(graph, *bits))


@pytest.mark.parametrize("granularity", ["channel", "tensor"])
@pytest.mark.parametrize("calibration", ["mse", "minmax", "percentile"])
def test_options_on_degenerate_images(granularity, calibration):
    """All-zero calibration images: nothing divides by zero."""
    for seed in range(6):
        graph = random_graph(seed)
        images = np.zeros((3, *graph.shapes["input"]), np.float32)
        ptq = PTQ(graph, images, WeightOptions(granularity), ActivationOptions(calibration))
        qgraph = ptq.quantize(random_bits(rng_of(seed), graph))
        assert np.isfinite(dequantize_output(qgraph, Executor(qgraph).run(quantize_input(qgraph, images)))).all()


@pytest.fixture(scope="module")
def digits():
    """A small network trained on scikit-learn's digits: graph, training images, held-out images, their labels."""
    from sklearn.datasets import load_digits

    data = load_digits()
    images, labels = (data.images[:, None] / 16).astype(np.float32), data.target
    torch.manual_seed(0)
    torch.set_num_threads(1)
    net = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3),
                        nn.ReLU(), nn.Flatten(), nn.Linear(64, 10))  # fmt: skip
    optimiser = torch.optim.Adam(net.parameters(), 5e-3)
    x, y = torch.tensor(images[:1000]), torch.tensor(labels[:1000])
    for _ in range(12):
        for part in torch.randperm(1000).split(50):
            optimiser.zero_grad()
            nn.functional.cross_entropy(net(x[part]), y[part]).backward()
            optimiser.step()
    return capture(net, (1, 8, 8), "digits"), images[:256], images[1000:], labels[1000:]


def accuracy(logits, labels):
    return 100 * (np.asarray(logits).argmax(1) == labels).mean()


@pytest.mark.parametrize(("bits", "error", "points"), [(8, 0.02, 0.2), (4, 0.2, 1.5)])
def test_quantised_network_is_close_to_the_float_one(digits, bits, error, points):
    graph, calibration, images, labels = digits
    float_logits = run_float(graph, images).numpy()
    qgraph = PTQ(graph, calibration).quantize(uniform(graph, bits, bits))
    logits = dequantize_output(qgraph, Executor(qgraph).run(quantize_input(qgraph, images)))
    assert np.linalg.norm(logits - float_logits) < error * np.linalg.norm(float_logits)
    assert accuracy(float_logits, labels) > 93
    assert abs(accuracy(logits, labels) - accuracy(float_logits, labels)) <= points


def test_low_bits_keep_most_of_the_accuracy(digits):
    """Rounding to the nearest step alone gives 85.9 % with ternary weights and 53.3 % with sign weights."""
    graph, calibration, images, labels = digits
    ptq = PTQ(graph, calibration)
    for bits, least in [(TERNARY, 90), (1, 70)]:
        qgraph = ptq.quantize(uniform(graph, bits, 8))
        assert accuracy(Executor(qgraph).run(quantize_input(qgraph, images)), labels) > least


def test_the_same_images_give_the_same_network(digits):
    graph, calibration, images, _ = digits
    for bits in (8, 2):
        first, second = (PTQ(graph, calibration).quantize(uniform(graph, bits, 4)) for _ in range(2))
        x = quantize_input(first, images[:50])
        np.testing.assert_array_equal(Executor(first).run(x), Executor(second).run(x))
