"""Random cases: a network of one operator (two, where its output is to be bytes), lowered, with an input and the reference's output."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Container, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from unittest.mock import patch

import numpy as np

from mico_runner.codegen import micro
from mico_runner.codegen.lowering import lower
from mico_runner.codegen.micro.base import MicroKernel
from mico_runner.codegen.policy import KernelPolicy
from mico_runner.codegen.program import Call
from mico_runner.ops.c import Buffer
from mico_runner.quant import reference
from mico_runner.quant.qgraph import TERNARY, QType, storage_bits
from mico_runner.targets import host
from tests.codegen.codegen_graphs import OUTPUT, Network

WEIGHTS = (1, TERNARY, 2, 3, 4, 5, 6, 7, 8)
FAMILIES = {  # the kernels that a program for the host, and for the cores, is made of; and those of neither
    "plain": KernelPolicy(),
    "tiles": KernelPolicy(tiles=True, tables=True),
    "dot_unit": KernelPolicy(tiles=True, tables=True, dot_unit=True),
    "dsp": KernelPolicy(tiles=True, tables=True, dsp=True),
    "mla": KernelPolicy(tiles=True, tables=True, mla=True),
    "mve": KernelPolicy(tiles=True, tables=True, mve=True),
    "simd": KernelPolicy(simd=True),
}


@dataclass(frozen=True)
class Case:
    """Calls of kernels on one input.

    Attributes:
        text: what it is, for messages.
        calls: in order; the last ones write `output`.
        input: bytes, in memory's order.
        expected: int32, the elements of `output` in memory's order.
    """

    text: str
    calls: tuple[Call, ...]
    source: Buffer
    output: Buffer
    input: np.ndarray
    expected: np.ndarray

    @property
    def functions(self) -> set[str]:
        return {call.function for call in self.calls}


@dataclass(frozen=True)
class Setting:
    """What decides which kernel a layer gets; `micro_kernel`: where it can hold the layer, however slow."""

    kind: str
    weight_bits: float
    act_bits: int
    signed: bool
    padded: bool
    family: str
    micro_kernel: str = ""


def settings() -> Iterator[Setting]:
    """All of them."""
    for kind in KINDS:
        weights = WEIGHTS if kind in WEIGHTED else (8,)
        for choice in itertools.product(weights, range(1, 9), (False, True), (False, True), FAMILIES):
            setting = Setting(kind, *choice)
            yield setting
            if kind in TILED and setting.family == "tiles":
                of = QType(setting.act_bits, setting.signed, 1.0)
                for kernel in micro.candidates(storage_bits(setting.weight_bits), of, setting.padded):
                    yield replace(setting, micro_kernel=kernel.name)


def random_case(setting: Setting, rng: np.random.Generator, wanted: Container[str] | None = None) -> Case | None:
    """A case of random shape, weights, scales, output type and data; None when its last call is of no function that is wanted."""
    net = Network(rng, (1,), setting.act_bits, setting.signed)
    to = OUTPUT if rng.integers(4) == 0 else net.some_type()
    tensor = KINDS[setting.kind](net, setting, to, rng)
    target = net.nodes[-1]
    inside = bool(rng.integers(2))  # read by a further node, so that it is stored in its own type
    whole = net.done(net.requant(tensor)) if inside else net.done(tensor)
    with _first(setting.micro_kernel):
        calls = lower(whole, FAMILIES[setting.family]).calls
    calls = tuple(call for call in calls if not inside or call.node != whole.nodes[-1].name)
    if wanted is not None and calls[-1].function not in wanted:
        return None
    x = _data(net.tensors["x"].type, net.tensors["x"].shape, rng)
    nodes = whole.nodes[:-1] if inside else whole.nodes
    expected = reference.run(replace(whole, outputs=(tensor,), nodes=nodes), x[None])
    kind = net.tensors["x"].type
    memory = {"shape": x.shape, "bits": kind.bits, "signed": kind.signed, "scale": kind.scale}
    shape = expected.shape[1:]
    stored = expected[0].transpose(1, 2, 0) if len(shape) == 3 else expected[0]
    return Case(
        text=f"{setting}, {target.op} {x.shape} -> {shape}, {dict(target.attrs)}",
        calls=calls,
        source=next(b for call in calls for b in call.inputs if b.name == "input"),
        output=calls[-1].output,
        input=host.to_memory(x[None], memory).ravel().view(np.uint8),
        expected=np.ascontiguousarray(stored, np.int32).ravel(),
    )


def _first(name: str) -> AbstractContextManager:
    """Layers get this micro-kernel, or the fastest if it is none."""
    return patch.object(MicroKernel, "cycles", lambda self, *_: self.name != name) if name else nullcontext()


def _data(kind: QType, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Mostly random, sometimes the smallest or the largest integer everywhere."""
    if kind.is_sign:
        return rng.choice([-1, 1], shape)
    extreme = rng.integers(10)
    if extreme < 2:
        return np.full(shape, (kind.qmin, kind.qmax)[extreme])
    return rng.integers(kind.qmin, kind.qmax + 1, shape)


def _extreme(rng: np.random.Generator) -> str | None:
    return (None, None, None, "low", "high")[rng.integers(5)]


def _image(net: Network, rng: np.random.Generator, channels: int) -> tuple[int, int]:
    h, w = (int(v) for v in rng.integers(1, 10, 2))
    net.tensors["x"] = replace(net.tensors["x"], shape=(channels, h, w))
    return h, w


def _channels(rng: np.random.Generator, most: int = 40) -> int:
    """Small ones often, multiples of a word's bytes often."""
    value = int(rng.integers(1, most + 1) if rng.integers(3) == 0 else rng.integers(1, 10))
    return -(-value // 4) * 4 if rng.integers(3) == 0 else value


def _conv(net: Network, setting: Setting, to: QType, rng: np.random.Generator, groups: str = "one") -> str:
    channels = _channels(rng)
    count = {"one": 1, "all": channels, "some": int(rng.choice([g for g in (2, 3, 4, 5) if channels % g == 0] or [1]))}
    count = count[groups]
    h, w = _image(net, rng, channels)
    padding = tuple(int(v) for v in rng.integers(0, 4, 2)) if setting.padded else (0, 0)
    dilation = tuple(int(v) for v in (rng.integers(1, 4, 2) if rng.integers(3) == 0 else (1, 1)))
    room = [(s + 2 * p - 1) // d + 1 for s, p, d in zip((h, w), padding, dilation, strict=True)]
    kernel = tuple(int(rng.integers(1, min(r, 5) + 1)) for r in room)
    stride = tuple(int(v) for v in rng.integers(1, 4, 2))
    out = count * int(rng.integers(1, 4)) if count > 1 else _channels(rng, 20)
    bits = setting.weight_bits
    limit = int(rng.integers(1, to.qmax + 1)) if rng.integers(4) == 0 else None
    layer = {"stride": stride, "padding": padding, "dilation": dilation, "groups": count, "relu_max": limit}
    return net.conv("x", out, kernel, bits, extreme=_extreme(rng), to=to, **layer)


def _few_channels(net: Network, setting: Setting, to: QType, rng: np.random.Generator) -> str:
    """As of a network's first layer: an odd number of them, so that patches side by side are gathered together."""
    shape = (int(rng.choice([1, 3, 5])), int(rng.integers(8, 14)), int(rng.integers(11, 15)))
    net.tensors["x"] = replace(net.tensors["x"], shape=shape)
    kernel = (4, 8) if rng.integers(2) else tuple(int(v) for v in rng.integers(2, 6, 2))  # of whole words, or any
    padding = tuple(int(v) for v in rng.integers(0, 4, 2)) if setting.padded else (0, 0)
    stride = (int(rng.integers(1, 3)), 1 if kernel[1] > 5 else int(rng.integers(1, 3)))
    layer = {"stride": stride, "padding": padding}
    return net.conv("x", 3 + _channels(rng, 8), kernel, setting.weight_bits, extreme=_extreme(rng), to=to, **layer)


def _many_channels(net: Network, setting: Setting, to: QType, rng: np.random.Generator) -> str:
    """Depthwise, of input rows that a small cache does not hold: four channels are gathered at a time."""
    channels, (h, w) = 4 * int(rng.integers(20, 31)), (int(v) for v in rng.integers(9, 13, 2))
    net.tensors["x"] = replace(net.tensors["x"], shape=(channels, h, w))
    padding = tuple(int(v) for v in rng.integers(0, 2, 2)) if setting.padded else (0, 0)
    layer = {"stride": tuple(int(v) for v in rng.integers(1, 3, 2)), "padding": padding, "groups": channels}
    return net.conv("x", channels, (3, 3), setting.weight_bits, extreme=_extreme(rng), to=to, **layer)


def _one_by_one(net: Network, setting: Setting, to: QType, rng: np.random.Generator) -> str:
    _image(net, rng, 4 * int(rng.integers(1, 33)))
    stride = tuple(int(v) for v in rng.integers(1, 3, 2))
    return net.conv("x", _channels(rng, 20), (1, 1), setting.weight_bits, stride, extreme=_extreme(rng), to=to)


def _linear(net: Network, setting: Setting, to: QType, rng: np.random.Generator) -> str:
    inputs = int(rng.integers(1, 700) if rng.integers(4) == 0 else rng.integers(1, 80))
    inputs = -(-inputs // 32) * 32 if rng.integers(3) == 0 else inputs
    rows = () if rng.integers(2) else (int(rng.integers(1, 12)),)
    net.tensors["x"] = replace(net.tensors["x"], shape=(*rows, inputs))
    return net.linear("x", _channels(rng, 20), setting.weight_bits, extreme=_extreme(rng), to=to)


def _pool(op: str) -> Callable[..., str]:
    def build(net: Network, setting: Setting, to: QType, rng: np.random.Generator) -> str:
        h, w = _image(net, rng, _channels(rng, 20))
        kernel = tuple(int(rng.integers(1, min(s, 5) + 1)) for s in (h, w))
        padding = tuple(int(rng.integers(0, k // 2 + 1)) if setting.padded else 0 for k in kernel)
        return net.pool(op, "x", kernel, tuple(int(v) for v in rng.integers(1, 4, 2)), padding, to=to)

    return build


def _shape(net: Network, rng: np.random.Generator) -> None:
    if rng.integers(2):
        _image(net, rng, _channels(rng, 20))
    else:
        net.tensors["x"] = replace(net.tensors["x"], shape=(int(rng.integers(1, 200)),))


def _add(net: Network, setting: Setting, to: QType, rng: np.random.Generator) -> str:
    _shape(net, rng)
    other = net.requant("x") if rng.integers(2) else "x"
    return net.add("x", other, to=to)


def _concat(net: Network, setting: Setting, to: QType, rng: np.random.Generator) -> str:
    _shape(net, rng)
    parts = ["x", net.requant("x"), "x"][: int(rng.integers(2, 4))]
    return net.concat(parts, int(rng.integers(len(net.tensors["x"].shape))), to=to)


def _requant(net: Network, setting: Setting, to: QType, rng: np.random.Generator) -> str:
    _shape(net, rng)
    wide = rng.integers(4) == 0  # from 16 bits
    return net.requant(net.requant("x", OUTPUT) if wide else "x", to)


def _reshape(net: Network, setting: Setting, to: QType, rng: np.random.Generator) -> str:
    channels = 1 + _channels(rng, 20)
    h, w = _image(net, rng, channels)
    shape = ((channels * h * w,), (h * w, channels), (w, channels, h))[rng.integers(3)]
    return net.reshape(net.requant("x", to), shape)


TILED = ("conv2d", "few_channels", "1x1", "linear")
WEIGHTED = (*TILED, "grouped", "depthwise", "many_channels")
KINDS: dict[str, Callable[..., str]] = {
    "conv2d": _conv,
    "grouped": lambda *args: _conv(*args, groups="some"),
    "depthwise": lambda *args: _conv(*args, groups="all"),
    "many_channels": _many_channels,
    "few_channels": _few_channels,
    "1x1": _one_by_one,
    "linear": _linear,
    "max_pool2d": _pool("max_pool2d"),
    "avg_pool2d": _pool("avg_pool2d"),
    "add": _add,
    "concat": _concat,
    "requant": _requant,
    "reshape": _reshape,
}
