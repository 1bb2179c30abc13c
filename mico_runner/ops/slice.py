"""slice: a part of a tensor; splits and chunks are several."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mico_runner.ops import register
from mico_runner.ops.base import Shapes, sample
from mico_runner.ops.capture import Call, Refused
from mico_runner.ops.movement import Movement
from mico_runner.ops.node import Node, QNode


@register("slice")
class Slice(Movement):
    """Elements `start`, `start` + `step`, ... below `stop` of dimension `axis`, batch left out."""

    ATEN = (
        *("slice.Tensor", "narrow.default", "select.int", "unbind.int"),
        *("unsafe_split.Tensor", "split.Tensor", "split.sizes", "split_with_sizes.default", "chunk.default"),
    )
    ATTRS = ("axis", "start", "stop", "step")

    def capture(self, call: Call) -> str | list[str]:
        tensor = call.input()
        axis = call.axis(call["dim"])
        length = -1 if axis < 0 else call.builder.shapes[tensor][axis]
        if call.target == "slice":
            start, stop = (within(call[key], length, default) for key, default in (("start", 0), ("end", length)))
            if axis < 0 and call["start"] in (None, 0) and call["end"] in (None, 2**63 - 1) and call["step"] == 1:
                return tensor
            return self._part(call, tensor, axis, start, stop, int(call["step"]))
        if call.target == "narrow":
            start = within(call["start"], length, 0)
            return self._part(call, tensor, axis, start, start + int(call["length"]))
        if call.target == "select":
            start = within(call["index"], length, 0)
            call.batch -= call["dim"] % len(call.sizes_read) < call.batch
            return call.reshape(self._part(call, tensor, axis, start, start + 1), call.shape)
        if axis < 0:
            raise Refused("splitting the batch is not supported")
        sizes = [part.shape[call["dim"]] for part in call.node.meta["val"]] if call.target != "unbind" else [1] * length
        ends = np.cumsum(sizes).tolist()
        parts = [self._part(call, tensor, axis, end - size, end) for size, end in zip(sizes, ends, strict=True)]
        if call.target != "unbind":
            return parts
        call.batch -= call["dim"] % len(call.sizes_read) < call.batch
        rest = tuple(n for i, n in enumerate(call.builder.shapes[tensor]) if i != axis)
        return [call.reshape(part, rest) for part in parts]

    def _part(self, call: Call, tensor: str, axis: int, start: int, stop: int, step: int = 1) -> str:
        shape = list(call.builder.shapes[tensor])
        if axis < 0:
            raise Refused("a part of the batch is not supported")
        shape[axis] = len(range(start, stop, step))
        if not shape[axis]:
            raise Refused("an empty slice is not supported")
        if shape[axis] == call.builder.shapes[tensor][axis]:
            return tensor
        attrs = dict(zip(self.ATTRS, (axis, start, stop, step), strict=True))
        return call.emit(self.name, [tensor], tuple(shape), attrs=attrs)

    def sources(self, node: Node | QNode, shape: tuple[int, ...]) -> np.ndarray:
        axis, start, stop, step = (node.attrs[name] for name in self.ATTRS)
        index = np.arange(int(np.prod(shape))).reshape(shape)
        return np.ascontiguousarray(index.take(range(start, stop, step), axis=axis))

    def samples(self, rng: np.random.Generator) -> Iterator[tuple[Node, Shapes]]:
        for shape, axis, part in (((9,), 0, (2, 9, 3)), ((4, 5, 6), 0, (1, 3, 1)), ((4, 5, 6), 2, (0, 6, 2))):
            target = list(shape)
            target[axis] = len(range(*part))
            yield sample(self.name, [shape], tuple(target), dict(zip(self.ATTRS, (axis, *part), strict=True)))


def within(index: int | None, length: int, default: int) -> int:
    """An index of Python's slices as one from the front."""
    if index is None:
        return default
    return min(max(index + length if index < 0 else index, 0), length)
