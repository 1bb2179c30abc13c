"""add."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from mico_runner.ops import c, register
from mico_runner.ops.affine import emit_affine
from mico_runner.ops.arithmetic import clamp, shared_shift, shifted
from mico_runner.ops.base import Example, Row, Shapes, elements_row, same_scale, sample
from mico_runner.ops.capture import Call
from mico_runner.ops.expand import same_shape
from mico_runner.ops.fast import Kernel, chunks, clamper
from mico_runner.ops.node import Node, QNode, QType, scaling_of
from mico_runner.ops.onnx import OnnxGraph
from mico_runner.ops.reach import ELEMENTWISE, Reach
from mico_runner.ops.weighted import Rescaled


@register("add")
class Add(Rescaled):
    """Sum of two tensors of one shape: acc = q0 * multiplier[0] + q1 * multiplier[1], r = (acc + 2^(shift-1)) >> shift, clamped.

    The shift is shared.
    """

    DNNWEAVER = "Add"
    ATEN = ("add.Tensor",)
    TAKES_RELU = True
    WIDE = True
    PER_TOKEN = True
    FAMILIES = ("add",)
    SIGN = 1  # of the second operand

    def capture(self, call: Call) -> str:
        call.broadcast()
        a, b = call["self"], call["other"]
        constants = [call.constant(a), call.constant(b)]
        sign = self.SIGN * float(call["alpha"])
        if constants[1] is not None:
            return emit_affine(call, call.aligned(call.tensor(a)), term=sign * constants[1])
        if constants[0] is not None:
            return emit_affine(call, call.aligned(call.tensor(b)), factor=sign, term=constants[0])
        operands = same_shape(call, [call.tensor(a), call.tensor(b)])
        if call["alpha"] != 1:
            name, attrs = (
                f"{call.name}.alpha",
                {"factor": np.float64(call["alpha"]), "term": np.float64(0), "below": None},
            )
            operands[1] = call.builder.elementwise(name, "affine", operands[1:], call.source, attrs=attrs)
        return call.builder.elementwise(call.name, self.name, operands, call.source)

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        return x[0] + x[1]

    def row(self, node: Node, shapes: Shapes, batch: int) -> Row:
        return elements_row(shapes[node.output]) | {"kind": "add"}

    def scaling(self, node: Node, factors: np.ndarray) -> dict[str, np.ndarray]:
        return shared_shift(factors)

    def integer(self, node: QNode, x: list[np.ndarray], read: list[QType], made: QType) -> np.ndarray:
        multipliers, shifts = scaling_of(node)
        products = x[0] * int(multipliers[0]) + self.SIGN * x[1] * int(multipliers[1])
        return clamp(shifted(products, shifts[0]), products, made, node.relu_max)

    def fast(self, node: QNode, read: list[QType], made: QType) -> Kernel:
        multipliers, shift = scaling_of(node)
        first, second = (float(m) * 2.0 ** -int(shift[0]) for m in multipliers)
        clamped = clamper(made, node.relu_max)

        def kernel(x: list[torch.Tensor]) -> torch.Tensor:
            a, b = x[0].reshape(-1), x[1].reshape(-1)
            found = torch.empty(a.shape)
            for at in chunks(a):
                clamped(a[at].double().mul_(first).add_(b[at].double().mul_(self.SIGN * second)), found[at])
            return found.reshape(x[0].shape)

        return kernel

    def reach(self, node: Node | QNode, shapes: Shapes) -> Reach | None:
        return ELEMENTWISE if len(shapes[node.output]) == 3 else None

    def lower(self, to: c.Lowerer, node: QNode) -> None:
        a, b = (to.buffer_of(tensor) for tensor in node.inputs)
        output = to.target(node)
        multipliers, shift = scaling_of(node)
        fields = {
            **{"size": output.size, "input_a": a.tag, "input_b": b.tag},
            **{"multiplier_a": int(multipliers[0]), "multiplier_b": self.SIGN * int(multipliers[1])},
            **{"shift": int(shift[0]), "output": c.output_range(node, output)},
        }
        to.emit(node, "add", [a, b], output, fields)

    def onnx(self, to: OnnxGraph, node: QNode, x: list[str], read: list[QType], made: QType) -> str:
        return to.add("Add" if self.SIGN > 0 else "Sub", x)

    def example(self, family: str, row: Row, weight_bits: float, rng: np.random.Generator) -> Example:
        shape = (row["in_channels"], row["in_h"], row["in_w"])
        return Example(shape, shape, constants=same_scale(2), reads=2)

    def samples(self, rng: np.random.Generator) -> Iterator[tuple[Node, Shapes]]:
        for shape in ((5,), (3, 4, 5)):
            yield sample(self.name, [shape, shape], shape)
