"""concat."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np
import torch

from mico_runner.ops import c, register
from mico_runner.ops.arithmetic import clamp, shifted
from mico_runner.ops.base import Shapes, sample
from mico_runner.ops.capture import Call, Refused
from mico_runner.ops.fast import Kernel, requantiser
from mico_runner.ops.node import Node, QNode, QType, scaling_of
from mico_runner.ops.onnx import OnnxGraph
from mico_runner.ops.weighted import Rescaled

_AXIS_IN_HWC = (2, 0, 1)  # of C, H, W


@register("concat")
class Concat(Rescaled):
    """Tensors one after the other along `axis` of the batch-less shape, each requantised with its own multiplier and shift."""

    DNNWEAVER = "Concat"
    ATEN = ("cat.default", "stack.default")
    ATTRS = ("axis",)
    WIDE = True
    NO_KERNEL = "its calls, one for each input, are not profiled"

    def capture(self, call: Call) -> str:
        tensors = [call.tensor(t) for t in call["tensors"]]
        if call.target == "stack":
            return self._stack(call, tensors)
        axis = call.axis(call["dim"])
        if axis < 0:
            raise Refused("concatenation over the batch is not supported")
        return call.emit(self.name, tensors, call.shape, attrs={"axis": axis})

    def _stack(self, call: Call, tensors: list[str]) -> str:
        """Along a new dimension."""
        dim = call["dim"] % (len(call.sizes_read) + 1)
        call.batch += dim <= call.batch
        axis = dim - (dim > call.batch and not call.is_merged)
        shape = list(call.builder.shapes[tensors[0]]) if len(call.sizes_read) > 1 else []
        shape.insert(axis, 1)
        parts = [call.reshape(tensor, tuple(shape)) for tensor in tensors]
        return call.emit(self.name, parts, call.shape, attrs={"axis": axis})

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        return torch.cat(x, dim=node.attrs["axis"] + 1)

    def integer(self, node: QNode, x: list[np.ndarray], read: list[QType], made: QType) -> np.ndarray:
        parts = []
        for q, multiplier, shift in zip(x, *scaling_of(node), strict=True):
            parts.append(clamp(shifted(q * int(multiplier), shift), q, made, node.relu_max))
        return np.concatenate(parts, axis=node.attrs["axis"] + 1)

    def fast(self, node: QNode, read: list[QType], made: QType) -> Kernel:
        parts = [requantiser(node, made, part=slice(i, i + 1)) for i in range(len(node.inputs))]
        axis = node.attrs["axis"] + 1
        return lambda x: torch.cat([part(q) for part, q in zip(parts, x, strict=True)], axis)

    def lower(self, to: c.Lowerer, node: QNode) -> None:
        """One call per input."""
        output = to.target(node)
        axis = _AXIS_IN_HWC[node.attrs["axis"]] if len(output.shape) == 3 else node.attrs["axis"]
        rows, row, offset = prod(output.memory_shape[:axis]), prod(output.memory_shape[axis:]), 0
        for i, tensor in enumerate(node.inputs):
            source = to.buffer_of(tensor)
            part = prod(source.memory_shape[axis:])
            fields = {
                **{"rows": rows, "part": part, "row": row, "offset": offset, "input": source.tag},
                **{"scale": c.scale(node, i), "output": c.output_range(node, output)},
            }
            to.emit(node, "concat", [source], output, fields)
            offset += part

    def onnx(self, to: OnnxGraph, node: QNode, x: list[str], read: list[QType], made: QType) -> str:
        return to.add("Concat", x, axis=node.attrs["axis"] + 1)

    def samples(self, rng: np.random.Generator) -> Iterator[tuple[Node, Shapes]]:
        yield sample(self.name, [(3,), (5,)], (8,), {"axis": 0})
        for axis in range(3):
            sizes = [[3, 4, 5], [3, 4, 5], [3, 4, 5]]
            sizes[1][axis], sizes[2][axis] = 2, 1
            whole = [3, 4, 5]
            whole[axis] += 3
            yield sample(self.name, [tuple(size) for size in sizes], tuple(whole), {"axis": axis})
