"""roll: elements of a dimension, turned round."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mico_runner.ops import register
from mico_runner.ops.base import Shapes, sample
from mico_runner.ops.capture import Call, Refused
from mico_runner.ops.movement import Movement
from mico_runner.ops.node import Node, QNode


@register("roll")
class Roll(Movement):
    """Each dimension of `axes`, batch left out, moved on by `shifts`; what leaves it at the end enters at its beginning."""

    ATEN = ("roll.default",)
    ATTRS = ("axes", "shifts")

    def capture(self, call: Call) -> str:
        tensor = call.input()
        axes = tuple(call.axis(d) for d in call["dims"])
        if not axes or min(axes) < 0:
            raise Refused("rolling the batch is not supported")
        return call.emit(self.name, [tensor], call.shape, attrs={"axes": axes, "shifts": tuple(call["shifts"])})

    def sources(self, node: Node | QNode, shape: tuple[int, ...]) -> np.ndarray:
        index = np.arange(int(np.prod(shape))).reshape(shape)
        return np.roll(index, node.attrs["shifts"], node.attrs["axes"])

    def samples(self, rng: np.random.Generator) -> Iterator[tuple[Node, Shapes]]:
        yield sample(self.name, [(3, 4, 5)], (3, 4, 5), {"axes": (1, 2), "shifts": (1, -2)})
