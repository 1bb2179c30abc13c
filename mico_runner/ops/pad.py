"""pad: zeros around a tensor. A convolution that reads it adds them itself where it can."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mico_runner.ops import register
from mico_runner.ops.base import Shapes, sample
from mico_runner.ops.capture import Call, Refused
from mico_runner.ops.movement import ZERO, Movement
from mico_runner.ops.node import Node, QNode


@register("pad")
class Pad(Movement):
    """Zeros before and behind each dimension; `pad` in torch's order, the last dimension first."""

    ATEN = ("pad.default", "constant_pad_nd.default")
    ATTRS = ("pad",)

    def capture(self, call: Call) -> str:
        if call.args.get("mode", "constant") != "constant" or call["value"] not in (None, 0, 0.0):
            mode = call.args.get("mode", "constant")
            raise Refused(f"padding mode {mode!r} with value {call['value']} is not supported; allowed: zeros")
        if min(call["pad"]) < 0:
            raise Refused(f"negative padding {list(call['pad'])} is not supported")
        if any(call["pad"][2 * call.rank(call.input()) :]):
            raise Refused("padding the batch is not supported")
        if not any(call["pad"]):
            return call.input()
        return call.emit(self.name, [call.input()], call.shape, attrs={"pad": tuple(call["pad"])})

    def wanted_bits(self, node: Node, wanted: int) -> int:
        """At least 2: a signed bit has no zero."""
        return max(wanted, 2)

    def sources(self, node: Node | QNode, shape: tuple[int, ...]) -> np.ndarray:
        around = list(zip(node.attrs["pad"][::2], node.attrs["pad"][1::2], strict=True))
        around += [(0, 0)] * (len(shape) - len(around))
        return np.pad(np.arange(int(np.prod(shape))).reshape(shape), around[::-1], constant_values=ZERO)

    def samples(self, rng: np.random.Generator) -> Iterator[tuple[Node, Shapes]]:
        yield sample(self.name, [(3, 4, 5)], (3, 7, 6), {"pad": (0, 1, 2, 1)})
        yield sample(self.name, [(3, 4, 5)], (6, 4, 5), {"pad": (0, 0, 0, 0, 1, 2)})
        yield sample(self.name, [(4, 5)], (4, 7), {"pad": (1, 1)})


def padded(call: Call, tensor: str, around: tuple[int, ...]) -> str:
    """Zeros that another operator's call asks for, as a node of their own."""
    sizes = list(call.builder.shapes[tensor])
    for i, (low, high) in enumerate(zip(around[::2], around[1::2], strict=True)):
        sizes[-1 - i] += low + high
    name = f"{call.name}.pad"
    return call.builder.emit(name, "pad", [tensor], tuple(sizes), call.source, attrs={"pad": around})
