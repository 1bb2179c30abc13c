"""reverse: elements of a dimension in reverse."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mico_runner.ops import register
from mico_runner.ops.base import Shapes, sample
from mico_runner.ops.capture import Call, Refused
from mico_runner.ops.movement import Movement
from mico_runner.ops.node import Node, QNode


@register("reverse")
class Reverse(Movement):
    """Each dimension of `axes`, batch left out, read backwards."""

    ATEN = ("flip.default",)
    ATTRS = ("axes",)

    def capture(self, call: Call) -> str:
        tensor = call.input()
        axes = tuple(call.axis(d) for d in call["dims"])
        if min(axes) < 0:
            raise Refused("reversing the batch is not supported")
        return call.emit(self.name, [tensor], call.shape, attrs={"axes": axes})

    def sources(self, node: Node | QNode, shape: tuple[int, ...]) -> np.ndarray:
        return np.ascontiguousarray(np.flip(np.arange(int(np.prod(shape))).reshape(shape), node.attrs["axes"]))

    def samples(self, rng: np.random.Generator) -> Iterator[tuple[Node, Shapes]]:
        for axes in ((0,), (1, 2)):
            yield sample(self.name, [(3, 4, 5)], (3, 4, 5), {"axes": axes})
