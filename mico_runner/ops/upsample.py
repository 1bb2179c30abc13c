"""upsample: the nearest element, at a larger size."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mico_runner.ops import register
from mico_runner.ops.base import Shapes, sample
from mico_runner.ops.capture import Call
from mico_runner.ops.movement import Movement
from mico_runner.ops.node import Node, QNode


@register("upsample")
class Upsample(Movement):
    """Element floor(i * in / out) of each spatial dimension; `size` are those of the output."""

    ATEN = tuple(f"upsample_nearest{n}d.{overload}" for n in (1, 2) for overload in ("default", "vec"))
    ATTRS = ("size",)

    def capture(self, call: Call) -> str:
        tensor = call.args["input"] if "input" in call.args else call["self"]
        return call.emit(self.name, [call.tensor(tensor)], call.shape, attrs={"size": call.shape[1:]})

    def sources(self, node: Node | QNode, shape: tuple[int, ...]) -> np.ndarray:
        index = np.arange(int(np.prod(shape))).reshape(shape)
        for axis, size in enumerate(node.attrs["size"], start=1):
            index = index.take(np.arange(size) * shape[axis] // size, axis=axis)
        return np.ascontiguousarray(index)

    def samples(self, rng: np.random.Generator) -> Iterator[tuple[Node, Shapes]]:
        for size in ((8, 10), (4, 15), (7, 6)):
            yield sample(self.name, [(3, 4, 5)], (3, *size), {"size": size})
        yield sample(self.name, [(3, 5)], (3, 10), {"size": (10,)})
