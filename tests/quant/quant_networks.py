"""Random float graphs, built without torch, for the tests of this room."""

import numpy as np

from mico_runner.graph.ir import Graph, Node
from mico_runner.quant.qgraph import ACTIVATION_BITS, WEIGHT_BITS, LayerBits

KINDS = ("conv", "depthwise", "relu", "relu6", "max_pool", "avg_pool", "residual", "concat")


class Drawn:
    """A graph under construction; every method adds a node and returns its tensor."""

    def __init__(self, rng, shape):
        self.rng, self.nodes, self.shapes, self.last = rng, [], {"input": shape}, "input"

    def add(self, op, inputs, shape, attrs=None, weight=None, bias=None):
        name = f"{op}.{len(self.nodes)}"
        self.nodes.append(Node(name, op, tuple(inputs), name, attrs or {}, weight, bias))
        self.shapes[name] = tuple(int(n) for n in shape)
        return name

    def conv(self, x, out, kernel, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1):
        c, *size = self.shapes[x]
        weight = self.rng.normal(0, 1, (out, c // groups, *kernel)) * self.rng.choice([0.01, 1.0])
        weight[self.rng.random(out) < 0.15] = 0  # dead channels
        bias = None if self.rng.random() < 0.3 else self.rng.normal(0, 1, out).astype(np.float32)
        size = [(n + 2 * p - d * (k - 1) - 1) // s + 1
                for n, p, d, k, s in zip(size, padding, dilation, kernel, stride, strict=True)]  # fmt: skip
        attrs = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        return self.add("conv2d", [x], (out, *size), attrs, weight.astype(np.float32), bias)

    def pool(self, x, op, kernel, stride, padding):
        c, *size = self.shapes[x]
        size = [(n + 2 * p - k) // s + 1 for n, p, k, s in zip(size, padding, kernel, stride, strict=True)]
        return self.add(op, [x], (c, *size), {"kernel": kernel, "stride": stride, "padding": padding})

    def relu(self, x, top=None):
        return self.add("relu", [x], self.shapes[x], {"max": top})

    def linear(self, x, out):
        features = self.shapes[x][-1]
        weight, bias = self.rng.normal(0, 1, (out, features)), self.rng.normal(0, 1, out)
        return self.add(
            "linear", [x], (*self.shapes[x][:-1], out), None, weight.astype(np.float32), bias.astype(np.float32)
        )

    def flatten(self, x):
        size = int(np.prod(self.shapes[x]))
        return self.add("reshape", [x], (size,), {"shape": (size,)})

    def graph(self, output):
        return Graph("drawn", ("input",), (output,), tuple(self.nodes), self.shapes)


def small_size(rng, limit):
    return tuple(int(n) for n in rng.integers(1, limit, 2))


def random_graph(seed):
    """Odd sizes, strides, padding, dilation, groups, pools, residual sums, concatenations, ReLUs in and out of place."""
    rng = np.random.default_rng(seed)
    drawn = Drawn(rng, (int(rng.integers(1, 4)), *(int(n) for n in rng.integers(5, 12, 2))))
    x = (
        drawn.conv("input", int(rng.integers(1, 7)), (3, 3), small_size(rng, 3), (1, 1))
        if rng.random() < 0.8
        else "input"
    )
    for kind in rng.choice(KINDS, int(rng.integers(1, 6))):
        c = drawn.shapes[x][0]
        if kind == "conv":
            groups = int(rng.choice([g for g in (1, 2, 3) if c % g == 0]))
            padding, dilation = tuple(int(p) for p in rng.integers(1, 3, 2)), small_size(rng, 3)
            x = drawn.conv(
                x, groups * int(rng.integers(1, 4)), small_size(rng, 3), small_size(rng, 3), padding, dilation, groups
            )
        elif kind == "depthwise":
            x = drawn.conv(x, c, (3, 3), (1, 1), (1, 1), (1, 1), c)
        elif kind in ("relu", "relu6"):
            x = drawn.relu(x, 6.0 if kind == "relu6" else None)
        elif kind in ("max_pool", "avg_pool"):
            x = drawn.pool(x, f"{kind}2d", (3, 2), small_size(rng, 3), (1, 1))
        elif kind == "residual":
            y = drawn.conv(drawn.relu(x), c, (3, 3), (1, 1), (1, 1))
            x = drawn.add("add", [x, y] if rng.random() < 0.5 else [y, x], drawn.shapes[x])
        else:
            y = drawn.conv(x, 2, (1, 1))
            x = drawn.add("concat", [x, y], (c + 2, *drawn.shapes[x][1:]), {"axis": 0})
    return drawn.graph(x if rng.random() < 0.3 and x != "input" else drawn.linear(drawn.flatten(x), 3))


def random_images(rng, shape, count):
    """Pixels 0..1 or signed values."""
    images = rng.random((count, *shape))
    return (images if rng.random() < 0.5 else images * 3 - 1).astype(np.float32)


def random_bits(rng, graph):
    return {n.name: LayerBits(float(rng.choice(WEIGHT_BITS)), int(rng.choice(ACTIVATION_BITS))) for n in graph.weighted}


def extreme_inputs(rng, qgraph, count=2):
    """Random, all-zero, smallest, largest and alternating inputs."""
    start = qgraph.tensors["input"]
    low, high = start.type.qmin, start.type.qmax
    parts = [rng.integers(low, high + 1, (count, *start.shape)), rng.choice([low, high], (count, *start.shape))]
    return np.concatenate([*parts, *(np.full((1, *start.shape), v) for v in (0, low, high))])
