"""The exact arithmetic: reference against plain Python integers, executor against reference."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from quant_networks import extreme_inputs, random_bits, random_graph, random_images

from mico_runner.ops.arithmetic import multiplier_and_shift, shared_shift
from mico_runner.ops.fast import exact_sums
from mico_runner.quant import PTQ, Executor, quantize_input, reference
from mico_runner.quant.qgraph import ACTIVATION_BITS, WEIGHT_BITS, LayerBits, QGraph, QNode, QTensor, QType
from mico_runner.quant.weights import weight_range

seeds = st.integers(0, 2**32 - 1)


def python_requantise(acc, multiplier, shift, qtype, relu_max=None):
    if qtype.is_sign:
        return 1 if acc >= 0 else -1
    r = (acc * multiplier + 2 ** (shift - 1)) // 2**shift
    return max(qtype.qmin, min(r, qtype.qmax if relu_max is None else min(relu_max, qtype.qmax)))


def one_layer(rng, weight_bits, read, made, op="conv2d"):
    """A single weighted node with accumulators and factors over the whole range that the contract allows."""
    low, high = weight_range(weight_bits)
    groups = int(rng.integers(1, 3)) if op == "conv2d" else 1
    shape = (
        (groups * 2, int(rng.integers(1, 4)), *rng.integers(1, 4, 2))
        if op == "conv2d"
        else (5, int(rng.integers(1, 40)))
    )
    weight = rng.integers(low, high + 1, shape).astype(np.int8)
    if weight_bits == 1:
        weight[weight == 0] = 1
    out = shape[0]
    bias = rng.integers(-(2 ** int(rng.integers(1, 31))), 2 ** int(rng.integers(1, 31)), out).astype(np.int32)
    constants = {
        "weight": weight,
        "bias": bias,
        "multiplier": rng.integers(1, 2**22, out).astype(np.int32),
        "shift": rng.integers(1, 53, out).astype(np.int32),
    }
    if op == "linear":
        node = QNode("layer", op, ("input",), "out", {}, constants, weight_bits)
        shapes = (shape[1],), (out,)
    else:
        stride, padding = (tuple(int(v) for v in rng.integers(a, 3, 2)) for a in (1, 0))
        dilation, size = tuple(int(v) for v in rng.integers(1, 3, 2)), rng.integers(5, 9, 2)
        attrs = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        node = QNode("layer", op, ("input",), "out", attrs, constants, weight_bits)
        outs = [(n + 2 * p - d * (k - 1) - 1) // s + 1
                for n, p, d, k, s in zip(size, padding, dilation, shape[2:], stride, strict=True)]  # fmt: skip
        shapes = (groups * shape[1], *(int(n) for n in size)), (out, *(int(n) for n in outs))
    tensors = {"input": QTensor(shapes[0], read), "out": QTensor(shapes[1], made)}
    return QGraph("one", ("input",), ("out",), (node,), tensors)


def python_layer(qgraph, x):
    """The node by loops over plain integers, x of one sample."""
    (node,), made = qgraph.nodes, qgraph.tensors["out"]
    out = np.empty(made.shape, dtype=object)
    for index in np.ndindex(made.shape):
        o = index[0]
        acc = int(node.bias[o])
        if node.op == "linear":
            acc += sum(int(w) * int(q) for w, q in zip(node.weight[o], x, strict=True))
        else:
            a, (outs, per_group, kh, kw) = node.attrs, node.weight.shape
            first = o // (outs // a["groups"]) * per_group
            for c, i, j in itertools.product(range(per_group), range(kh), range(kw)):
                h = index[1] * a["stride"][0] - a["padding"][0] + i * a["dilation"][0]
                w = index[2] * a["stride"][1] - a["padding"][1] + j * a["dilation"][1]
                if 0 <= h < x.shape[1] and 0 <= w < x.shape[2]:
                    acc += int(node.weight[o, c, i, j]) * int(x[first + c, h, w])
        assert abs(acc * int(node.multiplier[o])) < 2**53
        out[index] = python_requantise(acc, int(node.multiplier[o]), int(node.shift[o]), made.type, node.relu_max)
    return out.astype(np.int64)


@pytest.mark.parametrize("op", ["conv2d", "linear"])
@pytest.mark.parametrize("weight_bits", WEIGHT_BITS)
@pytest.mark.parametrize("activation_bits", ACTIVATION_BITS)
def test_layers_equal_plain_integers_at_every_bit_pair(op, weight_bits, activation_bits):
    rng = np.random.default_rng([int(weight_bits * 2), activation_bits, len(op)])
    for signed in (False, True):
        made = QType(int(rng.choice([*ACTIVATION_BITS, 16])), bool(rng.integers(2)), 1.0)
        qgraph = one_layer(rng, weight_bits, QType(activation_bits, signed, 1.0), made, op)
        x = extreme_inputs(rng, qgraph, 1)
        if qgraph.tensors["input"].type.is_sign:
            x[x == 0] = -1
        found = reference.run(qgraph, x)
        for sample, out in zip(x[:3], found, strict=False):
            np.testing.assert_array_equal(out, python_layer(qgraph, sample))
        np.testing.assert_array_equal(Executor(qgraph).run(x), found)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [1, 3, 8])
def test_weightless_operators_equal_plain_integers(bits, signed):
    rng = np.random.default_rng([bits, signed])
    made, eight = QType(bits, signed, 1.0), QType(8, True, 1.0)
    two = {"multiplier": np.array([2**22 - 1, 77], np.int32), "shift": np.array([24, 9], np.int32)}
    one = {name: values[:1] for name, values in two.items()}
    window = {"kernel": (2, 3), "stride": (2, 1), "padding": (1, 1)}
    nodes = (
        QNode("low", "requant", ("input",), "low", {}, one),
        QNode("sum", "add", ("input", "low"), "sum", {}, two | {"shift": one["shift"]}),
        QNode("cat", "concat", ("input", "low"), "cat", {"axis": 0}, two),
        QNode("max", "max_pool2d", ("input",), "max", window),
        QNode("avg", "avg_pool2d", ("cat",), "avg", window, one),
    )
    shapes = {
        "input": (1, 4, 5),
        "low": (1, 4, 5),
        "sum": (1, 4, 5),
        "cat": (2, 4, 5),
        "max": (1, 3, 5),
        "avg": (2, 3, 5),
    }
    tensors = {t: QTensor(s, eight if t in ("input", "max") else made) for t, s in shapes.items()}
    qgraph = QGraph("ops", ("input",), ("avg",), nodes, tensors)
    x = extreme_inputs(rng, qgraph)
    got = reference.trace(qgraph, x)
    (m0, m1), (s0, s1) = two["multiplier"].tolist(), two["shift"].tolist()
    for n, c, h, w in np.ndindex(got["avg"].shape):
        rows, cols = [r for r in (2 * h - 1, 2 * h) if 0 <= r < 4], [v for v in (w - 1, w, w + 1) if 0 <= v < 5]
        taps = [(r, v) for r in rows for v in cols]
        total = sum(int(got["cat"][n, c, r, v]) for r, v in taps)
        assert got["avg"][n, c, h, w] == python_requantise(total, m0, s0, made)
        if c == 0:
            assert got["max"][n, 0, h, w] == max(int(x[n, 0, r, v]) for r, v in taps)
    for index in np.ndindex(x.shape):
        q, low = int(x[index]), int(got["low"][index])
        assert low == python_requantise(q, m0, s0, made)
        assert got["sum"][index] == python_requantise(q * m0 + low * m1, 1, s0, made)
        assert got["cat"][index] == low
        assert got["cat"][(index[0], 1, *index[2:])] == python_requantise(low, m1, s1, made)
    for output in tensors:
        if output != "input":
            part = QGraph("ops", ("input",), (output,), nodes, tensors)
            np.testing.assert_array_equal(Executor(part).run(x), got[output])


@settings(max_examples=150, deadline=None)
@given(seeds)
@example(0)
def test_executor_equals_reference_on_random_networks(seed):
    rng = np.random.default_rng(seed)
    graph = random_graph(seed)
    images = random_images(rng, graph.shapes["input"], 6)
    ptq = PTQ(graph, images)
    for _ in range(3):
        qgraph = ptq.quantize(random_bits(rng, graph))
        x = extreme_inputs(rng, qgraph)
        values = reference.trace(qgraph, x)
        for name, q in values.items():
            qtype = qgraph.tensors[name].type
            assert q.shape[1:] == qgraph.tensors[name].shape and qtype.qmin <= q.min() and q.max() <= qtype.qmax
        found = Executor(qgraph).run(x, batch_size=3)
        assert found.dtype == np.int32
        np.testing.assert_array_equal(found, values[qgraph.output])


def test_sums_beyond_float32_are_exact():
    """The bias cancels a sum of 38 million, so that an error of one unit in it would be seen."""
    bias = np.array([-127 * 252 * 1200], np.int32)
    factors = {"multiplier": np.array([1], np.int32), "shift": np.array([1], np.int32)}
    constants = {"weight": np.full((1, 1200), 127, np.int8), "bias": bias, **factors}
    node = QNode("layer", "linear", ("input",), "out", {}, constants, 8)
    tensors = {"input": QTensor((1200,), QType(8, False, 1.0)), "out": QTensor((1,), QType(16, True, 1.0))}
    qgraph = QGraph("large", ("input",), ("out",), (node,), tensors)
    x = np.random.default_rng(1).integers(249, 256, (200, 1200))
    wanted = (127 * x.sum(1) + int(bias[0]) + 1) // 2
    assert np.abs(wanted).max() < 2**15
    for found in (reference.run(qgraph, x), Executor(qgraph).run(x)):
        np.testing.assert_array_equal(found[:, 0], wanted)


def wide_layer(rng, groups, per_group, kernel, signed):
    """One convolution of large weights of mostly one sign, two outputs a group; requantised so that the last bit shows."""
    weight = rng.integers(100, 128, (2 * groups, per_group, *kernel)) * rng.choice([1, 1, 1, -1], (2 * groups, 1, 1, 1))
    read = QType(8, signed, 1.0)
    centre = weight.reshape(2 * groups, -1).sum(1) * (read.qmax - 10)  # what inputs near the top give
    constants = {
        "weight": weight.astype(np.int8),
        "bias": (-centre).astype(np.int32),
        "multiplier": np.full(2 * groups, 1, np.int32),
        "shift": np.full(2 * groups, 1, np.int32),
    }
    attrs = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": groups}
    node = QNode("layer", "conv2d", ("input",), "out", attrs, constants, 8)
    tensors = {"input": QTensor((groups * per_group, kernel[0], kernel[1] + 1), read)}
    tensors["out"] = QTensor((2 * groups, 1, 2), QType(16, True, 1.0))
    return QGraph("wide", ("input",), ("out",), (node,), tensors)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    ("groups", "per_group", "kernel", "parts", "dtype"),
    [
        (1, 50, (3, 3), 1, torch.float32),  # all in one
        (1, 400, (3, 3), None, torch.float32),  # several parts
        (3, 301, (3, 3), None, torch.float32),  # that do not divide the inputs, in each group
        (2, 2, (40, 40), 1, torch.float64),  # one input is too much already
    ],
)
def test_wide_layers_are_summed_in_exact_parts(signed, groups, per_group, kernel, parts, dtype):
    rng = np.random.default_rng(per_group)
    qgraph = wide_layer(rng, groups, per_group, kernel, signed)
    (node,), read = qgraph.nodes, qgraph.tensors["input"]
    sums = exact_sums(node, read.type)
    covered = [i for part in sums.parts for i in range(per_group)[part]]
    assert covered == list(range(per_group)) and sums.dtype == dtype
    assert len(sums.parts) == parts or (parts is None and len(sums.parts) > 1 and sums.bias_apart)
    x = rng.integers(read.type.qmax - 20, read.type.qmax + 1, (4, *read.shape))
    x[-1] = read.type.qmin
    found = Executor(qgraph).run(x)
    np.testing.assert_array_equal(found, reference.run(qgraph, x))
    assert len(np.unique(found)) > 4  # more than the limits of the type


@pytest.mark.parametrize("signed", [False, True])
def test_parts_are_as_few_as_the_weights_allow(signed):
    """Products of both signs do not add up to the worst case of 8 x 8 bits."""
    limit = 2 * (2**24 // (127 * 255)) if not signed else 2**24 // (127 * (127 + 128) // 2)
    for inputs, parts in ((limit - 2, 1), (limit + 2, 2)):
        constants = {"weight": np.resize(np.array([127, -127], np.int8), (1, inputs)), "bias": np.zeros(1, np.int32)}
        node = QNode("layer", "linear", ("input",), "out", {}, constants)
        assert len(exact_sums(node, QType(8, signed, 1.0)).parts) == parts


@given(st.lists(st.floats(1e-20, 1e12), min_size=1, max_size=4))
def test_multiplier_and_shift(factors):
    multiplier, shift = multiplier_and_shift(np.array(factors)).values()
    assert (multiplier > 0).all() and (multiplier < 2**22).all() and (shift >= 1).all() and (shift <= 52).all()
    for factor, m, s in zip(factors, multiplier.tolist(), shift.tolist(), strict=True):
        if 2.0**-30 <= factor < 2.0**20:
            assert abs(m / 2**s / factor - 1) <= 2.0**-21
    pair, one = shared_shift(np.array([factors[0], factors[-1]])).values()
    assert len(one) == 1 and (pair > 0).all() and (pair < 2**22).all()


@pytest.mark.parametrize("bad", [0.0, -1.0, np.inf, np.nan])
def test_factors_must_be_positive(bad):
    with pytest.raises(ValueError, match="positive and finite"):
        multiplier_and_shift(np.array([1.0, bad]))


def test_inputs_outside_the_type_are_refused():
    graph = random_graph(1)
    shape = graph.shapes["input"]
    qgraph = PTQ(graph, np.ones((1, *shape))).quantize({n.name: LayerBits(8, 8) for n in graph.weighted})
    for bad, message in [(np.full((1, *shape), 256), "must be in 0..255"), (np.ones((1, *shape)), "integers"),
                         (np.ones((1, 99), int), "integers")]:  # fmt: skip
        for run in (Executor(qgraph).run, lambda x: reference.run(qgraph, x)):
            with pytest.raises(ValueError, match=message):
                run(bad)
    pixels = np.arange(256, dtype=np.uint8)[: int(np.prod(shape))].reshape(1, *shape)
    np.testing.assert_array_equal(quantize_input(qgraph, pixels / np.float32(255)), pixels)


def test_a_caller_who_allows_reduced_precision_gets_the_same_integers():
    rng = np.random.default_rng(4)
    qgraph = one_layer(rng, 8, QType(8, False, 1.0), QType(16, True, 1.0), "linear")
    x = extreme_inputs(rng, qgraph, 20)
    torch.set_float32_matmul_precision("medium")
    try:
        found = Executor(qgraph).run(x)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    np.testing.assert_array_equal(found, reference.run(qgraph, x))
