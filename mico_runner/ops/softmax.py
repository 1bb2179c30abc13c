"""softmax."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from mico_runner.ops import c, register
from mico_runner.ops.arithmetic import clamp, shifted
from mico_runner.ops.base import Operator, Quantiser, Shapes, sample
from mico_runner.ops.capture import Call, Refused
from mico_runner.ops.node import INPUT_BITS, Node, QNode, QType
from mico_runner.ops.onnx import OnnxGraph
from mico_runner.ops.permute import permuted
from mico_runner.ops.rows import lower_rows

EXP_BITS = 24  # of e^0 in the table
FACTOR_BITS = 24
PART_BITS = 38  # so that factor * 2^38 fits 62 bits


@register("softmax")
class Softmax(Operator):
    """e_i = exp(-scale * (max - q_i)) from a table of 24 bits, p = factor * 2^38 / sum e, r_i = e_i * p / 2^(38 + shift), rounded, clamped.

    Over the last dimension. Constants: `exp`, int32 (256,), by the distance from the row's maximum; attributes `factor`, which is
    2^shift / output scale, and `shift`.
    """

    ATEN = ("softmax.int", "_softmax.default")
    NO_KERNEL = "its kernel is not profiled"
    BOUND = 0.55  # half a step, and what the table leaves

    def capture(self, call: Call) -> str:
        """Another dimension is put last, and back."""
        tensor = call.input()
        rank, axis = call.rank(tensor), call.axis(call["dim"])
        if axis < 0:
            raise Refused("softmax over the batch is not supported")
        order = (*(d for d in range(rank) if d != axis), axis)
        moved = permuted(call, tensor, order)
        found = call.emit(self.name, [moved], call.builder.shapes[moved])
        return permuted(call, found, tuple(np.argsort(order).tolist()))

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        return x[0].softmax(-1)

    def quantise(self, q: Quantiser, step: Any) -> None:
        tensor = q.read(step.node.inputs[0], INPUT_BITS)
        read, made = q.type_of(tensor), q.made(step)
        exp = exp_table(read)
        shift = FACTOR_BITS - int(np.frexp(1 / made.scale)[1])
        factor = int(np.rint(np.ldexp(1 / made.scale, shift)))
        q.add(step, (tensor,), attrs={"factor": factor, "shift": shift}, constants={"exp": exp})

    def integer(self, node: QNode, x: list[np.ndarray], read: list[QType], made: QType) -> np.ndarray:
        e = node.constants["exp"].astype(np.int64)[x[0].max(-1, keepdims=True) - x[0]]
        total = e.sum(-1, keepdims=True)
        part = (node.attrs["factor"] << PART_BITS) // total
        found = shifted(e * part, np.array(PART_BITS + node.attrs["shift"]))
        return clamp(found, found, made, node.relu_max)

    def lower(self, to: c.Lowerer, node: QNode) -> None:
        exp, length = node.constants["exp"], to.buffer_of(node.inputs[0]).shape[-1]

        def emit(source: c.Buffer, output: c.Buffer) -> None:
            fields = {
                **{"rows": source.size // length, "length": length, "input": source.tag},
                **{
                    "factor": node.attrs["factor"],
                    "shift": node.attrs["shift"],
                    "output": c.output_range(node, output),
                },
            }
            to.emit(node, "softmax", [source], output, fields, tables={"exp": exp})

        lower_rows(to, node, emit)

    def onnx(self, to: OnnxGraph, node: QNode, x: list[str], read: list[QType], made: QType) -> str:
        return to.add("Softmax", x, axis=-1)

    def samples(self, rng: np.random.Generator) -> Iterator[tuple[Node, Shapes]]:
        for shape in ((10,), (6, 7), (3, 4, 5)):
            yield sample(self.name, [shape], shape)


def exp_table(read: QType) -> np.ndarray:
    """exp(-scale * i) for distances of 0 to 255 steps, 24 bits behind the point, int32."""
    steps = np.arange(1 << INPUT_BITS)
    found: np.ndarray = np.rint(np.exp(-read.scale * steps) * (1 << EXP_BITS)).astype(np.int32)
    return found
