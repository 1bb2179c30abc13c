"""expand: a tensor repeated over dimensions of size 1, and over new ones in front."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np
import torch

from mico_runner.ops import register
from mico_runner.ops.base import Shapes, sample
from mico_runner.ops.capture import Call, Refused
from mico_runner.ops.movement import Movement
from mico_runner.ops.node import Node, QNode
from mico_runner.ops.take import taken


@register("expand")
class Expand(Movement):
    """The input repeated to `shape`."""

    ATEN = ("expand.default", "repeat.default", "copy.default")
    ATTRS = ("shape",)

    def capture(self, call: Call) -> str | torch.Tensor:
        if call.target == "repeat":
            return self._repeated(call, call.input())
        if call.target == "copy":  # into `self`, of which nothing is left
            return self._copied(call)
        return expanded(call, call.input(), call.shape)

    def _repeated(self, call: Call, tensor: str) -> str:
        times = call["repeats"]
        if len(times) != len(call.sizes_read) or times[call.batch_read] != 1:
            raise Refused(f"repeating {tuple(times)} times repeats the batch, or puts dimensions in front of it")
        for dim, count in enumerate(times):
            if count > 1:
                axis = call.axis(dim)
                tensor = taken(call, tensor, axis, [*range(call.builder.shapes[tensor][axis])] * count)
        return tensor

    def _copied(self, call: Call) -> str | torch.Tensor:
        source, kind = call["src"], call.node.meta["val"]
        if isinstance(source, torch.Tensor):
            return source.to(kind.dtype).expand(kind.shape)
        call.broadcast()
        return expanded(call, source, call.shape)

    def sources(self, node: Node | QNode, shape: tuple[int, ...]) -> np.ndarray:
        index = np.arange(int(np.prod(shape))).reshape(shape)
        return np.ascontiguousarray(np.broadcast_to(index, node.attrs["shape"]))

    def samples(self, rng: np.random.Generator) -> Iterator[tuple[Node, Shapes]]:
        for shape, target in (((3, 1, 1), (3, 4, 5)), ((1, 4, 1), (3, 4, 5)), ((4,), (3, 4))):
            yield sample(self.name, [shape], target, {"shape": target})


def expanded(call: Call, tensor: str, shape: tuple[int, ...]) -> str:
    """The tensor in this shape, by a node of its own where it has another."""
    found = call.builder.shapes[tensor]
    if found == shape:
        return tensor
    if len(found) > len(shape) or np.broadcast_shapes(found, shape) != shape:
        raise Refused(f"a tensor of shape {found} does not repeat to {shape}")
    if prod(found) == prod(shape):
        return call.reshape(tensor, shape)
    return call.builder.emit(f"{call.name}.expand", "expand", [tensor], shape, call.source, attrs={"shape": shape})


def same_shape(call: Call, tensors: list[str]) -> list[str]:
    """The operands of an elementwise call, all in the shape of its output."""
    return [expanded(call, tensor, call.shape) for tensor in tensors]
