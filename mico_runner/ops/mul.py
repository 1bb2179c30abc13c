"""mul: a product of two tensors, as gates and squeeze-and-excitation have it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from mico_runner.errors import StepError
from mico_runner.ops import c, register
from mico_runner.ops.affine import emit_affine
from mico_runner.ops.arithmetic import multiplier_and_shift, requantise
from mico_runner.ops.base import Channels, Quantiser, Shapes, Undone, sample
from mico_runner.ops.broadcast import spread
from mico_runner.ops.capture import Call, Refused
from mico_runner.ops.expand import same_shape
from mico_runner.ops.fast import FLOAT32_BITS, Kernel, requantiser
from mico_runner.ops.node import INPUT_BITS, OUTPUT_BITS, Node, QNode, QType
from mico_runner.ops.onnx import OnnxGraph, whole
from mico_runner.ops.reach import ELEMENTWISE, Reach
from mico_runner.ops.weighted import Product


@register("mul")
class Mul(Product):
    """acc = q0 * q1, requantised; the second may be smaller and is repeated over dimensions of size 1, as a factor of each channel.

    A division by what is computed is a product with its `pow` of -1, a gated linear unit one of its first half and a function of its
    second.
    """

    ATEN = ("mul.Tensor", "div.Tensor", "glu.default")
    PER_TOKEN = True
    GATES = True

    def capture(self, call: Call) -> str:
        if call.target == "glu":
            return self._gated(call)
        call.broadcast()
        a, b = call["self"], call["other"]
        if call.target == "div":
            if (divisor := call.constant(b)) is None:
                name, attrs = f"{call.name}.inverse", {"exponent": -1}
                inverse = call.builder.elementwise(name, "pow", [call.tensor(b)], call.source, attrs=attrs)
                if (numerator := call.constant(a)) is not None:
                    return emit_affine(call, inverse, factor=numerator)
                return self._product(call, a, inverse)
            with np.errstate(divide="ignore"):
                return emit_affine(call, call.aligned(call.tensor(a)), factor=1 / divisor)
        for tensor, factor in ((a, call.constant(b)), (b, call.constant(a))):
            if factor is not None:
                return emit_affine(call, call.aligned(call.tensor(tensor)), factor=factor)
        return self._product(call, a, b)

    def _gated(self, call: Call) -> str:
        tensor, axis, build = call.input(), call.axis(call["dim"]), call.builder
        if axis < 0:
            raise Refused("halves of the batch are not supported")
        half = build.shapes[tensor][axis] // 2
        parts = []
        for name, start in (("value", 0), ("gate", half)):
            attrs = {"axis": axis, "start": start, "stop": start + half, "step": 1}
            parts.append(build.emit(f"{call.name}.{name}", "slice", [tensor], call.shape, call.source, attrs=attrs))
        parts[1] = build.elementwise(f"{call.name}.sigmoid", "sigmoid", parts[1:], call.source)
        return self._product(call, *parts)

    def _product(self, call: Call, a: Any, b: Any) -> str:
        operands = [call.tensor(a), call.tensor(b)]
        shapes = [call.builder.shapes[t] for t in operands]
        if np.prod(shapes[0]) < np.prod(shapes[1]):
            operands, shapes = operands[::-1], shapes[::-1]
        if shapes[0] != call.shape or spread(shapes[1], shapes[0]) is None:
            operands = same_shape(call, operands)
        return call.builder.elementwise(call.name, self.name, operands, call.source)

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        return x[0] * _aligned(x[1], x[0])

    def undoing(self, node: Node, at: int, by: Channels, shapes: Shapes) -> Undone | None:
        """Of two tensors of one shape, a product with a factor for each channel has that factor."""
        fits = shapes[node.inputs[0]] == shapes[node.inputs[1]] and not by.term.any()
        return Undone(node, output=by) if fits else None

    def quantise(self, q: Quantiser, step: Any) -> None:
        """At the bits at which they are stored, up to 16; two of 16 without a sign would not fit 32 bits."""
        first, second = step.node.inputs
        both = [q.type_of(tensor) for tensor in (first, second)]
        fits = any(kind.signed or kind.bits <= INPUT_BITS for kind in both)
        inputs = (q.read(first, OUTPUT_BITS), q.read(second, OUTPUT_BITS if fits else INPUT_BITS))
        made = q.made(step)
        factor = q.type_of(inputs[0]).scale * q.type_of(inputs[1]).scale / made.scale
        q.add(step, inputs, constants=multiplier_and_shift(np.array([factor])))

    def integer(self, node: QNode, x: list[np.ndarray], read: list[QType], made: QType) -> np.ndarray:
        small = x[1].reshape(len(x[1]), *[1] * (x[0].ndim - x[1].ndim), *x[1].shape[1:])
        return requantise(x[0] * small, node, made)

    def fast(self, node: QNode, read: list[QType], made: QType) -> Kernel:
        requant, exact = requantiser(node, made), sum(kind.bits for kind in read) <= FLOAT32_BITS
        if exact:
            return lambda x: requant(x[0] * _aligned(x[1], x[0]))
        return lambda x: requant(x[0].double() * _aligned(x[1], x[0]))

    def reach(self, node: Node | QNode, shapes: Shapes) -> Reach | None:
        """Element by element, or by one factor for each channel."""
        large, small = (shapes[tensor] for tensor in node.inputs)
        fits = len(large) == 3 and (small == large or small[1:] == (1, 1))
        return ELEMENTWISE if fits else None

    def lower(self, to: c.Lowerer, node: QNode) -> None:
        a, b = (to.buffer_of(tensor) for tensor in node.inputs)
        output = to.target(node)
        found = spread(b.shape, a.shape)
        if found is None:
            raise StepError(f"codegen: node {node.name!r} (mul): {b.shape} is not repeated simply over {a.shape}")
        fields = {
            **{"size": output.size, "input_a": a.tag, "input_b": b.tag, "run": found[0], "count": found[1]},
            **{"scale": c.scale(node), "output": c.output_range(node, output)},
        }
        to.emit(node, "mul", [a, b], output, fields)

    def onnx(self, to: OnnxGraph, node: QNode, x: list[str], read: list[QType], made: QType) -> str:
        """The smaller one gets the dimensions that it lacks, the batch still in front."""
        large, small = (to.shape(tensor) for tensor in node.inputs)
        if len(small) == len(large):
            return to.add("Mul", x)
        shape = whole(-1, *[1] * (len(large) - len(small)), *small)
        return to.add("Mul", [x[0], to.add("Reshape", [x[1], to.constant(shape)])])

    def samples(self, rng: np.random.Generator) -> Iterator[tuple[Node, Shapes]]:
        for small in ((3, 4, 5), (3, 1, 1), (1, 4, 5), (1, 1, 1)):
            yield sample(self.name, [(3, 4, 5), small], (3, 4, 5))
        yield sample(self.name, [(6, 4), (4,)], (6, 4))
        yield sample(self.name, [(6, 4), (6, 1)], (6, 4))


def _aligned(small: torch.Tensor, large: torch.Tensor) -> torch.Tensor:
    """With as many dimensions, the batch still in front."""
    return small.reshape(len(small), *[1] * (large.ndim - small.ndim), *small.shape[1:])
