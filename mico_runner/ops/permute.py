"""permute: dimensions in another order, elements moved."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mico_runner.ops import register
from mico_runner.ops.base import Shapes, sample
from mico_runner.ops.capture import Call
from mico_runner.ops.movement import Movement
from mico_runner.ops.node import Node, QNode, QType
from mico_runner.ops.onnx import OnnxGraph


@register("permute")
class Permute(Movement):
    """Dimension i of the output is dimension `order`[i] of the input, both without batch."""

    ATEN = ("permute.default", "transpose.int", "t.default", "pixel_shuffle.default", "pixel_unshuffle.default")
    ATTRS = ("order",)

    def capture(self, call: Call) -> str:
        """Dimensions in another order; where only the batch moves, nothing happens."""
        tensor = call.input()
        if call.target.startswith("pixel"):
            return self._pixels(call, tensor)
        rank = len(call.sizes_read)
        dims = list(range(rank))
        if "dims" in call.args:
            dims = [d % rank for d in call["dims"]]
        else:
            i, j = (call.args.get(k, default) for k, default in (("dim0", 0), ("dim1", 1)))
            dims[i], dims[j] = dims[j], dims[i]
        order = dims if call.is_merged else [call.axis(d) for d in dims if d != call.batch_read]
        call.batch = dims.index(call.batch_read)
        return permuted(call, tensor, tuple(order))

    def _pixels(self, call: Call, tensor: str) -> str:
        """Channels as blocks of pixels, or the other way round."""
        channels, height, width = call.builder.shapes[tensor]
        if call.target == "pixel_shuffle":
            r = int(call["upscale_factor"])
            parts, order = (channels // r**2, r, r, height, width), (0, 3, 1, 4, 2)
        else:
            r = int(call["downscale_factor"])
            parts, order = (channels, height // r, r, width // r, r), (0, 2, 4, 1, 3)
        moved = tuple(parts[d] for d in order)
        found = call.emit(self.name, [call.reshape(tensor, parts)], moved, attrs={"order": order})
        return call.reshape(found, call.shape)

    def sources(self, node: Node | QNode, shape: tuple[int, ...]) -> np.ndarray:
        return np.ascontiguousarray(np.arange(int(np.prod(shape))).reshape(shape).transpose(node.attrs["order"]))

    def onnx(self, to: OnnxGraph, node: QNode, x: list[str], read: list[QType], made: QType) -> str:
        return to.add("Transpose", x, perm=[0, *(d + 1 for d in node.attrs["order"])])

    def samples(self, rng: np.random.Generator) -> Iterator[tuple[Node, Shapes]]:
        for shape, order in (
            ((3, 4, 5), (1, 2, 0)),
            ((3, 4, 5), (2, 1, 0)),
            ((4, 5), (1, 0)),
            ((2, 3, 4, 2), (1, 3, 0, 2)),
        ):
            yield sample(self.name, [shape], tuple(shape[d] for d in order), {"order": order})


def permuted(call: Call, tensor: str, order: tuple[int, ...]) -> str:
    """The tensor with its dimensions in this order; a reshape where those larger than 1 keep theirs, for no element moves then."""
    shape = call.builder.shapes[tensor]
    target = tuple(shape[d] for d in order)
    moved = [d for d in order if shape[d] > 1]
    if moved == sorted(moved):
        return call.reshape(tensor, target)
    return call.builder.emit(f"{call.name}.permute", "permute", [tensor], target, call.source, attrs={"order": order})
