"""Random integer graphs for the differential tests: C against `quant.reference`."""

from __future__ import annotations

import numpy as np

from mico_runner.quant.qgraph import MULTIPLIER_BITS, OUTPUT_BITS, TERNARY, QGraph, QNode, QTensor, QType


class Network:
    """Builds a QGraph node by node; methods take and return tensor names."""

    def __init__(self, rng: np.random.Generator, shape: tuple[int, ...], bits: int = 8, signed: bool = False) -> None:
        self.rng = rng
        self.nodes: list[QNode] = []
        self.tensors = {"x": QTensor(shape, QType(bits, signed, 0.5))}

    def done(self, output: str, name: str = "net") -> QGraph:
        return QGraph(name, ("x",), (output,), tuple(self.nodes), self.tensors)

    def conv(self, x, out, kernel, bits, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1, extreme=None, **kw):
        c, h, w = self.tensors[x].shape
        size = [
            (s + 2 * p - d * (k - 1) - 1) // st + 1
            for s, p, d, k, st in zip((h, w), padding, dilation, kernel, stride, strict=True)
        ]
        weight = self.weights((out, c // groups, *kernel), bits, extreme)
        attrs = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        return self.weighted("conv2d", x, (out, *size), weight, bits, attrs, **kw)

    def linear(self, x, out, bits, extreme=None, **kw):
        shape = self.tensors[x].shape
        weight = self.weights((out, shape[-1]), bits, extreme)
        return self.weighted("linear", x, (*shape[:-1], out), weight, bits, {}, **kw)

    def weighted(self, op, x, shape, weight, bits, attrs, to=None, relu_max=None, bias=None):
        to = to or self.some_type()
        source, count = self.tensors[x].type, len(weight)
        reach = np.abs(weight.astype(np.int64)).reshape(count, -1).sum(1) * max(-source.qmin, source.qmax)
        if bias is None:
            bias = self.rng.integers(-reach - 1, reach + 2) // 4
        top = np.maximum(reach / 2, 1.0)
        multiplier, shift = self.scales(top, to)
        constants = {"weight": weight, "bias": np.asarray(bias, np.int32), "multiplier": multiplier, "shift": shift}
        return self.node(op, [x], shape, to, attrs, constants, weight_bits=bits, relu_max=relu_max)

    def pool(self, op, x, kernel, stride, padding=(0, 0), to=None):
        c, h, w = self.tensors[x].shape
        size = [(s + 2 * p - k) // st + 1 for s, p, k, st in zip((h, w), padding, kernel, stride, strict=True)]
        attrs = {"kernel": kernel, "stride": stride, "padding": padding}
        source = self.tensors[x].type
        if op == "max_pool2d":
            return self.node(op, [x], (c, *size), source, attrs)
        to = to or self.some_type()
        multiplier, shift = self.scales(np.array([source.qmax * kernel[0] * kernel[1] / 1.5]), to)
        return self.node(op, [x], (c, *size), to, attrs, {"multiplier": multiplier, "shift": shift})

    def add(self, a, b, to=None, relu_max=None):
        to = to or self.some_type()
        multiplier = self.rng.integers(1, 1 << MULTIPLIER_BITS, 2)
        shift = self.scales(np.array([float(self.tensors[a].type.qmax)]), to)[1]
        constants = {"multiplier": multiplier, "shift": shift}
        return self.node("add", [a, b], self.tensors[a].shape, to, {}, constants, relu_max=relu_max)

    def sub(self, a, b, to):
        """Of numbers without a sign: what is below zero as often as above."""
        return self.node(
            "sub", [a, b], self.tensors[a].shape, to, {}, {"multiplier": np.full(2, 1 << 20), "shift": np.array([21])}
        )

    def concat(self, tensors, axis, to=None):
        to = to or self.some_type()
        shape = list(self.tensors[tensors[0]].shape)
        shape[axis] = sum(self.tensors[t].shape[axis] for t in tensors)
        multiplier, shift = self.scales(np.array([float(self.tensors[t].type.qmax) for t in tensors]), to)
        return self.node(
            "concat", tensors, tuple(shape), to, {"axis": axis}, {"multiplier": multiplier, "shift": shift}
        )

    def requant(self, x, to=None):
        to = to or self.some_type()
        multiplier, shift = self.scales(np.array([float(self.tensors[x].type.qmax)]), to)
        return self.node("requant", [x], self.tensors[x].shape, to, {}, {"multiplier": multiplier, "shift": shift})

    def reshape(self, x, shape):
        shape = (int(np.prod(self.tensors[x].shape)),) if shape is None else shape
        return self.node("reshape", [x], shape, self.tensors[x].type, {"shape": shape})

    def node(self, op, inputs, shape, to, attrs=None, constants=None, **fields):
        name = f"layers.{len(self.nodes)}.{op}"
        kept = {k: v if k == "weight" else np.asarray(v, np.int32) for k, v in (constants or {}).items()}
        self.nodes.append(QNode(name, op, tuple(inputs), f"{name}:out", attrs or {}, kept, **fields))
        self.tensors[f"{name}:out"] = QTensor(tuple(shape), to)
        return f"{name}:out"

    def some_type(self, bits: int | None = None) -> QType:
        return QType(int(self.rng.integers(1, 9)) if bits is None else bits, bool(self.rng.integers(2)), 0.25)

    def scales(self, top: np.ndarray, to: QType) -> tuple[np.ndarray, np.ndarray]:
        """Multipliers and shifts that bring values of size `top` to about the output's range, clamping some."""
        multiplier = self.rng.integers(1 << (MULTIPLIER_BITS - 2), 1 << MULTIPLIER_BITS, len(top))
        return multiplier, np.clip(np.round(np.log2(multiplier * top / to.qmax)), 1, 52)

    def weights(self, shape, bits, extreme=None) -> np.ndarray:
        kind = QType(int(bits), True, 1.0)
        low, high = (-1, 1) if bits == TERNARY else (kind.qmin, kind.qmax)
        if extreme:
            return np.full(shape, {"low": low, "high": high}[extreme], np.int8)
        if bits == 1:
            return self.rng.choice(np.array([-1, 1], np.int8), shape)
        return self.rng.integers(low, high + 1, shape, dtype=np.int8)


OUTPUT = QType(OUTPUT_BITS, True, 0.125)


def images(graph: QGraph, rng: np.random.Generator, count: int = 3) -> np.ndarray:
    """Random images, then the smallest, the largest and (where the type has it) the zero integer everywhere."""
    tensor = graph.tensors[graph.input]
    low, high = tensor.type.qmin, tensor.type.qmax
    if tensor.type.is_sign:
        return np.concatenate(
            [rng.choice([-1, 1], (count, *tensor.shape)), *(np.full((1, *tensor.shape), v) for v in (-1, 1))]
        )
    constant = [np.full((1, *tensor.shape), value) for value in (low, high, 0)]
    return np.concatenate([rng.integers(low, high + 1, (count, *tensor.shape)), *constant])


def pair_network(weight_bits: float, act_bits: int, signed: bool, rng: np.random.Generator) -> QGraph:
    """Convolutions (plain, grouped, depthwise, dilated), a pool and two linear layers, all at one pair of bits, odd sizes."""
    h, w = (int(v) for v in rng.integers(5, 9, 2))
    net = Network(rng, (int(rng.integers(1, 4)), h, w), act_bits, signed)

    def activation() -> QType:
        return QType(act_bits, bool(rng.integers(2)), 0.5)

    channels = 2 * int(rng.integers(1, 5))
    extreme = rng.choice([None, None, "low", "high"])
    y = net.conv("x", channels, (3, 3), weight_bits, padding=(1, 1), to=activation())
    y = net.conv(y, 2 * channels, (2, 3), weight_bits, stride=(1, 2), padding=(0, 2), groups=2, to=activation())
    y = net.conv(
        y, 2 * channels, (3, 2), weight_bits, padding=(2, 1), dilation=(2, 1), groups=2 * channels, to=activation()
    )
    y = net.pool("max_pool2d", y, (2, 2), (2, 1), (1, 0))
    y = net.conv(y, 5, (1, 1), weight_bits, to=activation())
    y = net.linear(net.reshape(y, None), 7, weight_bits, extreme=extreme, to=activation())
    y = net.linear(y, 3, weight_bits, to=OUTPUT)
    return net.done(y)


def random_network(rng: np.random.Generator) -> QGraph:
    """A chain of random operators with branches (residual sums, concatenations), ending anywhere."""
    shape = tuple(int(v) for v in rng.integers([1, 3, 3], [6, 10, 10]))
    net = Network(rng, shape, int(rng.integers(1, 9)), bool(rng.integers(2)))
    bits = [1, TERNARY, 2, 3, 4, 5, 6, 7, 8]
    y = "x"
    for _ in range(int(rng.integers(1, 7))):
        c, h, w = net.tensors[y].shape
        step = rng.choice(["conv", "conv", "depthwise", "max", "avg", "residual", "concat", "requant", "fold"])
        k = tuple(int(v) for v in rng.integers(1, np.minimum([h, w], 4) + 1))
        stride = tuple(int(v) for v in rng.integers(1, 4, 2))
        if step == "conv":
            pad = tuple(int(v) for v in rng.integers(0, 3, 2))
            y = net.conv(y, int(rng.integers(1, 9)), k, rng.choice(bits), stride, pad)
        elif step == "depthwise":
            y = net.conv(y, c * int(rng.integers(1, 3)), k, rng.choice(bits), groups=c, padding=(1, 1), relu_max=1)
        elif step in ("max", "avg"):
            pad = tuple(int(rng.integers(0, v // 2 + 1)) for v in k)
            y = net.pool(f"{step}_pool2d", y, k, stride, pad)
        elif step == "residual":
            y = net.add(net.conv(y, c, (3, 3), rng.choice(bits), padding=(1, 1)), y)
        elif step == "concat":
            y = net.concat([y, net.requant(y), net.conv(y, c, (1, 1), rng.choice(bits))], int(rng.integers(3)))
        elif step == "requant":
            y = net.requant(y)
        else:
            y = net.reshape(y, (h, w, c))
    if rng.integers(2):
        y = net.linear(net.reshape(y, None), int(rng.integers(1, 12)), rng.choice(bits), to=OUTPUT)
    return net.done(y)


def inverted_network(rng: np.random.Generator, weight_bits: float, act_bits: int, kernel: int, side: int) -> QGraph:
    """A stem, an inverted residual, one of stride two, a pool over everything and a linear layer."""

    def some() -> QType:
        return QType(act_bits, bool(rng.integers(2)), 0.5)

    def depthwise(x: str, stride: int) -> str:
        channels = net.tensors[x].shape[0]
        around = (kernel // 2, kernel // 2)
        return net.conv(
            x, channels, (kernel, kernel), weight_bits, (stride, stride), around, groups=channels, to=some()
        )

    channels = int(rng.integers(3, 9))
    net = Network(rng, (3, side, side + int(rng.integers(0, 4))), 8, bool(rng.integers(2)))
    x = net.conv("x", channels, (3, 3), weight_bits, (2, 2), (1, 1), to=some())
    y = depthwise(net.conv(x, 4 * channels, (1, 1), weight_bits, to=some()), 1)
    x = net.add(x, net.conv(y, channels, (1, 1), weight_bits, to=some()), to=some())
    y = depthwise(net.conv(x, 3 * channels, (1, 1), weight_bits, to=some()), 2)
    y = net.conv(y, channels + 3, (1, 1), weight_bits, to=some())
    y = net.pool("avg_pool2d", y, net.tensors[y].shape[1:], (1, 1), to=some())
    return net.done(net.linear(net.reshape(y, None), 4, weight_bits, to=OUTPUT))
