"""avg_pool2d; global, adaptive and one-dimensional averages are windows of it."""

from __future__ import annotations

from math import prod

import numpy as np
import torch
import torch.nn.functional as F

from mico_runner.ops import c, register
from mico_runner.ops.affine import emit_affine
from mico_runner.ops.arithmetic import multiplier_and_shift, requantise, windows
from mico_runner.ops.base import Example, Row, same_scale
from mico_runner.ops.capture import Call, Refused
from mico_runner.ops.fast import Kernel, requantiser
from mico_runner.ops.node import Node, QNode, QType
from mico_runner.ops.onnx import OnnxGraph
from mico_runner.ops.pool import (
    Pool,
    as_image,
    average_windows,
    averaged,
    beyond,
    output_size,
    reduced,
    window_of,
    window_shapes,
)
from mico_runner.ops.resize import average
from mico_runner.ops.weighted import Rescaled


@register("avg_pool2d")
class AvgPool2d(Pool, Rescaled):
    """acc = sum over the taps inside the input, requantised: the multiplier holds 1 / (kh * kw)."""

    DNNWEAVER = "AvgPooling"
    ATEN = (
        *("avg_pool2d.default", "avg_pool1d.default", "adaptive_avg_pool2d.default", "adaptive_avg_pool1d.default"),
        *("mean.dim", "sum.dim_IntList", "linalg_vector_norm.default"),
    )
    FAMILIES = ("avg_pool2d",)

    def capture(self, call: Call) -> str:
        if call.target in ("mean", "sum"):
            return self._mean(call, call.input())
        if call.target == "linalg_vector_norm":
            return self._norm(call)
        if call.target.startswith("adaptive"):
            return self._adaptive(call)
        kernel = _values(call["kernel_size"])
        if call.args.get("divisor_override") not in (None, kernel[0] * kernel[-1]):
            raise Refused("divisor_override is not supported")
        return self._counted(call, self.emit_windows(call))

    def _counted(self, call: Call, tensor: str) -> str:
        """The averages times taps of a window / those of them that torch counts."""
        pooled, size = getattr(F, call.target), list(call.sizes_read[2:])
        ones = torch.ones(1, 1, *size, dtype=torch.float64)
        arguments = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")
        right = pooled(ones, *(call[key] for key in arguments))
        given = (call["kernel_size"], call["stride"] or call["kernel_size"], call["padding"])
        kernel, stride, padding = ((_values(value) * len(size))[: len(size)] for value in given)
        more = beyond(size, right.shape[2:], kernel, stride, padding)
        around = [n for p, m in list(zip(padding, more, strict=True))[::-1] for n in (p, p + m)]
        factor = (right / pooled(F.pad(ones, around), kernel, stride))[0].numpy()
        return emit_affine(call, tensor, factor=factor) if (factor != 1).any() else tensor

    def _adaptive(self, call: Call) -> str:
        tensor = as_image(call, call.input())
        _, *size = call.builder.shapes[tensor]
        target = output_size(call)
        if any(n % m for n, m in zip(size, target, strict=True)):
            return call.reshape(average(call, tensor, target), call.shape)
        window = tuple(n // m for n, m in zip(size, target, strict=True))
        return call.reshape(average_windows(call, tensor, window), call.shape)

    def _norm(self, call: Call) -> str:
        """The root of the sum of squares."""
        if call["ord"] != 2:
            raise Refused(f"a norm of order {call['ord']} is not supported; allowed: 2")
        square, root = ({"exponent": exponent} for exponent in (2, 0.5))
        squares = call.builder.elementwise(f"{call.name}.square", "pow", [call.input()], call.source, attrs=square)
        total = self._mean(call, squares)
        return call.builder.elementwise(f"{call.name}.root", "pow", [total], call.source, attrs=root)

    def _mean(self, call: Call, tensor: str) -> str:
        """Over any dimensions but the batch: they are put last, where they are the columns of one window."""
        dims = reduced(call, call["dim"])
        shape = call.builder.shapes[tensor]
        count = prod(shape[d] for d in dims)
        if call.target != "mean":
            return emit_affine(call, call.reshape(averaged(call, tensor, dims), call.shape), factor=count)
        return call.reshape(averaged(call, tensor, dims), call.shape)

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        return F.avg_pool2d(x[0], *window_of(node))

    def scaling(self, node: Node, factors: np.ndarray) -> dict[str, np.ndarray]:
        return multiplier_and_shift(factors / (node.attrs["kernel"][0] * node.attrs["kernel"][1]))

    def integer(self, node: QNode, x: list[np.ndarray], read: list[QType], made: QType) -> np.ndarray:
        found = windows(x[0], *window_of(node), fill=0)
        return requantise(found.sum((4, 5)), node, made)

    def fast(self, node: QNode, read: list[QType], made: QType) -> Kernel:
        requant, window = requantiser(node, made), window_of(node)
        return lambda x: requant(F.avg_pool2d(x[0].double(), *window, divisor_override=1))

    def lower(self, to: c.Lowerer, node: QNode) -> None:
        source, output = to.buffer_of(node.inputs[0]), to.target(node)
        fields = {
            **{"window": c.window(node, source, output), "input": source.tag},
            **{"scale": c.scale(node), "output": c.output_range(node, output)},
        }
        to.emit(node, "avg_pool2d", [source], output, fields)

    def onnx(self, to: OnnxGraph, node: QNode, x: list[str], read: list[QType], made: QType) -> str:
        kernel, stride, padding = window_of(node)
        return to.add("AveragePool", x, kernel_shape=kernel, strides=stride, pads=padding * 2, count_include_pad=1)

    def example(self, family: str, row: Row, weight_bits: float, rng: np.random.Generator) -> Example:
        return Example(*window_shapes(row), constants=same_scale(1))


def _values(found: int | list[int]) -> list[int]:
    return [found] if isinstance(found, int) else list(found)
