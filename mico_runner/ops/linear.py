"""linear."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F

from mico_runner.ops import c, register
from mico_runner.ops.arithmetic import requantise
from mico_runner.ops.base import (
    ONE,
    Channels,
    Example,
    Row,
    Shapes,
    Undone,
    random_weights,
    same_scale,
    sample,
)
from mico_runner.ops.capture import Call, Refused, as_array
from mico_runner.ops.conv_groups import ConvGroups
from mico_runner.ops.fast import Kernel
from mico_runner.ops.node import Node, QNode, QType, weight_of, weights_of
from mico_runner.ops.onnx import OnnxGraph
from mico_runner.ops.permute import permuted
from mico_runner.ops.weighted import Weighted


def bilinear(a: torch.Tensor, b: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """One layer for the products of all outputs with the second input, which meet the first."""
    outs, first, _ = weight.shape
    found = F.linear(b, weight.flatten(0, 1)).reshape(*b.shape[:-1], outs, first)
    total = (found * a.unsqueeze(-2)).sum(-1)
    return total if bias is None else total + bias


@register("linear")
class Linear(Weighted):
    """Fully connected layer over the last dimension: acc = bias + sum of w * q, requantised. `weight` (out, in), `bias` (out,)."""

    ATEN = ("linear.default", "addmm.default", "cumsum.default")
    APART: ClassVar = {"bilinear.default": bilinear}
    CHANNELS = -1
    PER_TOKEN = True
    DNNWEAVER = "MatMul"
    ANY_ORDER = True
    FAMILIES = ("linear",)

    def capture(self, call: Call) -> str:
        if call.target == "cumsum":
            return self._sums(call)
        if call.target == "addmm":
            return self._addmm(call)
        weight = call["weight"]
        if not isinstance(weight, torch.Tensor):
            raise Refused("the weights of a linear layer must be parameters, not computed from the input")
        if weight.ndim != 2:
            raise Refused(f"the weights of a linear layer must be a matrix; found shape {tuple(weight.shape)}")
        tensor = call.input("input")
        return call.emit(self.name, [tensor], call.shape, weight=as_array(weight), bias=as_array(call["bias"]))

    def _addmm(self, call: Call) -> str:
        """beta * self + alpha * mat1 mat2, of constants but for mat1."""
        weight, bias = call["mat2"], call["self"]
        if not all(isinstance(value, torch.Tensor) for value in (weight, bias)) or bias.numel() not in (
            1,
            weight.shape[1],
        ):
            raise Refused(
                "its second matrix and what it adds must be parameters, one row of them, not computed from the input"
            )
        found = call.emit(
            self.name,
            [call.tensor(call["mat1"])],
            call.shape,
            weight=as_array(weight.T * call["alpha"]),
            bias=as_array((bias.reshape(-1) * call["beta"]).expand(weight.shape[1])),
        )
        return found

    def _sums(self, call: Call) -> str:
        """Sums of the elements up to each: products with ones."""
        tensor, axis = call.input(), call.axis(call["dim"])
        if axis < 0:
            raise Refused("sums over the batch are not supported")
        order = (*(d for d in range(call.rank(tensor)) if d != axis), axis)
        moved = permuted(call, tensor, order)
        shape, build = call.builder.shapes[moved], call.builder
        ones = np.tri(shape[-1], dtype=np.float32)
        if call.node.meta["val"].is_floating_point():
            found = call.emit(self.name, [moved], shape, weight=ones)
        else:  # whole numbers, which no choice of bits may touch: by a product with a constant
            rows = call.reshape(moved, (prod(shape[:-1]), shape[-1]))
            attrs = {"value": ones.T.astype(np.float64)}
            put = build.emit(f"{call.name}.ones", "constant", [build.input], ones.shape, call.source, attrs=attrs)
            sums = build.emit(
                call.name, "matmul", [rows, put], build.shapes[rows], call.source, attrs={"transposed": False}
            )
            found = call.reshape(sums, shape)
        return permuted(call, found, tuple(np.argsort(order).tolist()))

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        bias = None if node.bias is None else torch.as_tensor(node.bias, dtype=x[0].dtype)
        return F.linear(x[0], torch.as_tensor(weight_of(node), dtype=x[0].dtype), bias)

    def rescaled(self, node: Node, by: Channels) -> Node | None:
        bias = by.term if node.bias is None else node.bias * by.factor + by.term
        return _with(node, weight_of(node) * by.factor[:, None], bias)

    def undoing(self, node: Node, at: int, by: Channels, shapes: Shapes) -> Undone | None:
        weight = weight_of(node) / by.factor
        return Undone(_with(node, weight, (0.0 if node.bias is None else node.bias) - weight @ by.term))

    def row(self, node: Node, shapes: Shapes, batch: int) -> Row:
        """A layer over tokens has batch * tokens samples."""
        weight = weight_of(node)
        count = batch * prod(shapes[node.output][:-1])
        return {**ONE, "kind": self.name, "batch": count, "in_channels": weight.shape[1], "out_channels": len(weight)}

    def patches(self, node: Node, x: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return x.reshape(-1, 1, x.shape[-1])[rows]

    def integer(self, node: QNode, x: list[np.ndarray], read: list[QType], made: QType) -> np.ndarray:
        weight, bias = weights_of(node)
        acc: np.ndarray = x[0].astype(np.float64) @ weight.astype(np.float64).T  # exact: below 2^31
        return requantise(acc.astype(np.int64) + bias, node, made, channel_axis=-1)

    def products(self, node: QNode, inputs: slice, bias: torch.Tensor | None, dtype: torch.dtype) -> Kernel:
        weight = torch.as_tensor(node.constants["weight"][:, inputs]).to(dtype)
        return lambda x: F.linear(x[0][..., inputs].to(dtype), weight, bias)

    def lower(self, to: c.Lowerer, node: QNode) -> None:
        """Columns follow the order of a flattened HWC input."""
        source, output = to.buffer_of(node.inputs[0]), to.target(node)
        weight, _ = weights_of(node)
        outputs, inputs = weight.shape
        weight = weight if source.order is None else weight[:, source.order]
        written = output
        if len(source.shape) == 3:  # acts on W, which HWC does not keep together
            source = to.row_major(node, source)
            written = to.temporary(f"{node.name}_rows", output, (output.size,))
        rows = source.size // inputs
        if not to.emit_convolution(node, source, written, c.ConvGeometry(rows, 1, inputs, rows, 1, outputs), weight):
            fields = {
                **{"rows": rows, "inputs": inputs, "outputs": outputs},
                **{"input": source.tag, "output": c.output_range(node, written)},
            }
            to.emit(node, "linear", [source], written, fields, rows=weight)
        if written is not output:
            to.from_row_major(node, written, output)

    def onnx(self, to: OnnxGraph, node: QNode, x: list[str], read: list[QType], made: QType) -> str:
        """A matrix in front of rows of features, which ONNX's Gemm does not take where a sample has several."""
        weight, bias = to.weights(node, read[0], made, transposed=True)
        return to.add("Add", [to.add("MatMul", [x[0], weight]), bias])

    def conv_group(self, to: ConvGroups, node: Node) -> None:
        """A convolution of the whole image, or of 1 x 1 where there is a value of each channel."""
        channels, height, width = to.image(node.inputs[0])
        weight = weight_of(node)
        if weight.shape[1] != channels * height * width:
            raise Refused("a linear layer over tokens; allowed: of a whole flattened image")
        ordered = weight.reshape(len(weight), channels, height, width).transpose(0, 2, 3, 1)
        to.convolution(node.name, node.output, ordered, node.bias, (1, 1), (0, 0))

    def example(self, family: str, row: Row, weight_bits: float, rng: np.random.Generator) -> Example:
        ins, outs = row["in_channels"], row["out_channels"]
        constants = {"weight": random_weights((outs, ins), weight_bits, rng), "bias": np.zeros(outs, np.int32)}
        return Example((row["batch"], ins), (row["batch"], outs), {}, constants | same_scale(outs))

    def samples(self, rng: np.random.Generator) -> Iterator[tuple[Node, Shapes]]:
        for shape in ((11,), (4, 9), (3, 4, 5)):
            outs = int(rng.integers(1, 9))
            weight = rng.normal(size=(outs, shape[-1])).astype(np.float32)
            bias = rng.normal(size=outs).astype(np.float32)
            yield sample(self.name, [shape], (*shape[:-1], outs), weight=weight, bias=bias)


def _with(node: Node, weight: np.ndarray, bias: np.ndarray) -> Node:
    return replace(node, weight=weight.astype(np.float32), bias=bias.astype(np.float32) if bias.any() else node.bias)
