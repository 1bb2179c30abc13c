"""matmul: a product of two computed matrices, as attention has it."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod, sqrt
from typing import Any

import numpy as np
import torch

from mico_runner.ops import c, register
from mico_runner.ops.affine import LEAST, LEFT_OUT, emit_affine
from mico_runner.ops.arithmetic import requantise
from mico_runner.ops.base import Shapes, sample
from mico_runner.ops.capture import Call, Refused, as_array, as_doubles
from mico_runner.ops.expand import expanded
from mico_runner.ops.fast import Kernel, requantiser
from mico_runner.ops.node import Node, QNode, QType
from mico_runner.ops.onnx import OnnxGraph
from mico_runner.ops.permute import permuted
from mico_runner.ops.take import taken
from mico_runner.ops.weighted import Product

_MOST_TERMS = 1 << 15  # of a sum of products of 8 bits that fits an int32


@register("matmul")
class Matmul(Product):
    """(..., M, K) times (..., K, N), or (..., N, K) where `transposed`: acc = sum of q0 * q1, requantised."""

    ATEN = ("matmul.default", "bmm.default", "mm.default", "scaled_dot_product_attention.default")
    ATTRS = ("transposed",)

    def capture(self, call: Call) -> str:
        if call.target == "scaled_dot_product_attention":
            return self._attention(call)
        a, b = call["self"], call["other"] if "other" in call.args else call["mat2"]
        if isinstance(b, torch.Tensor) and b.ndim == 1:
            tensor = call.tensor(a)
            return call.reshape(_linear(call, tensor, b[:, None], (*call.builder.shapes[tensor][:-1], 1)), call.shape)
        if _is_matrix(b):
            return _linear(call, call.tensor(a), b, call.shape)
        if _is_matrix(a):
            return self._constant_first(call, a, call.tensor(b))
        return self._product(call, self._operand(call, a), self._operand(call, b), transposed=False)

    def _operand(self, call: Call, value: torch.Tensor | str) -> str:
        """A matrix of each sample; constant ones are those of all samples where the batch is among the rows or columns of the other."""
        if isinstance(value, torch.Tensor) and call.batch_read >= len(call.sizes_read) - 2:
            attrs, name = {"value": as_doubles(value)}, f"{call.name}.constant"
            build, shape = call.builder, tuple(value.shape)
            return build.emit(name, "constant", [build.input], shape, call.source, attrs=attrs)
        return call.tensor(value)

    def _product(self, call: Call, a: str, b: str, transposed: bool) -> str:
        sizes = call.builder.shapes
        if len(sizes[a]) < 2 or len(sizes[b]) < 2:
            raise Refused(f"a product needs two matrices for each sample; found {sizes[a]} and {sizes[b]}")
        if sizes[a][-1] > _MOST_TERMS:
            raise Refused(f"sums of {sizes[a][-1]} products may overflow 32 bits; at most {_MOST_TERMS}")
        front = np.broadcast_shapes(sizes[a][:-2], sizes[b][:-2])
        a, b = (expanded(call, t, (*front, *sizes[t][-2:])) for t in (a, b))
        shape = (*sizes[a][:-1], sizes[b][-2 if transposed else -1])
        name = f"{call.name}.matmul" if call.target.startswith("scaled") else call.name
        attrs = {"transposed": transposed}
        return call.builder.emit(name, self.name, [a, b], shape, call.source, attrs=attrs)

    def _constant_first(self, call: Call, a: torch.Tensor, b: str) -> str:
        """a b = (b' a')'"""
        turned = (*range(call.rank(b) - 2), call.rank(b) - 1, call.rank(b) - 2)
        columns = permuted(call, b, turned)
        shape = (*call.builder.shapes[columns][:-1], a.shape[-2])
        return call.reshape(permuted(call, _linear(call, columns, a.mT, shape), turned), call.shape)

    def _attention(self, call: Call) -> str:
        """softmax(query key^T * scale + mask) value."""
        if call["dropout_p"]:
            raise Refused("attention with dropout is not supported")
        query, key, value = (call.tensor(call[name]) for name in ("query", "key", "value"))
        if call.args.get("enable_gqa"):
            key, value = (_shared(call, tensor, call.builder.shapes[query][-3]) for tensor in (key, value))
        scale = call["scale"] or 1 / sqrt(call.builder.shapes[query][-1])
        found = emit_affine(call, self._product(call, query, key, transposed=True), factor=scale)
        shape = call.builder.shapes[found]
        if (mask := call["attn_mask"]) is not None:
            found = _masked(call, found, mask)
        elif call["is_causal"]:
            found = emit_affine(call, found, term=np.where(np.tri(shape[-2], shape[-1]), 0.0, LEFT_OUT))
        attrs = {"kept": None}
        found = call.builder.emit(f"{call.name}.softmax", "softmax", [found], shape, call.source, attrs=attrs)
        return self._product(call, found, value, transposed=False)

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        return x[0] @ (x[1].transpose(-1, -2) if node.attrs["transposed"] else x[1])

    def integer(self, node: QNode, x: list[np.ndarray], read: list[QType], made: QType) -> np.ndarray:
        second = x[1].swapaxes(-1, -2) if node.attrs["transposed"] else x[1]
        acc = (x[0].astype(np.float64) @ second.astype(np.float64)).astype(np.int64)  # exact: below 2^31
        return requantise(acc, node, made)

    def fast(self, node: QNode, read: list[QType], made: QType) -> Kernel:
        requant = requantiser(node, made)
        return lambda x: requant(
            x[0].double() @ (x[1].transpose(-1, -2) if node.attrs["transposed"] else x[1]).double()
        )

    def lower(self, to: c.Lowerer, node: QNode) -> None:
        a, b = (to.buffer_of(tensor) for tensor in node.inputs)
        output = to.target(node)
        transposed = node.attrs["transposed"]
        fields = {
            **{"batch": prod(a.shape[:-2]), "rows": a.shape[-2], "inner": a.shape[-1], "columns": output.shape[-1]},
            **{f"a_{k}": v for k, v in zip(("batch", "row", "inner"), _steps(a), strict=True)},
            **{f"b_{k}": v for k, v in zip(_B[transposed], _steps(b), strict=True)},
            **{f"y_{k}": v for k, v in zip(("batch", "row", "column"), _steps(output), strict=True)},
            **{"input_a": a.tag, "input_b": b.tag, "scale": c.scale(node), "output": c.output_range(node, output)},
        }
        to.emit(node, "matmul", [a, b], output, fields)

    def onnx(self, to: OnnxGraph, node: QNode, x: list[str], read: list[QType], made: QType) -> str:
        if not node.attrs["transposed"]:
            return to.add("MatMul", x)
        # A Transpose would do as well, but ONNX Runtime 1.31 quantises it with another type than it had, and refuses the model.
        return to.add("Einsum", x, equation="...ij,...kj->...ik")

    def samples(self, rng: np.random.Generator) -> Iterator[tuple[Node, Shapes]]:
        for front in ((), (3,), (2, 2)):
            yield sample(self.name, [(*front, 4, 5), (*front, 5, 6)], (*front, 4, 6), {"transposed": False})
            yield sample(self.name, [(*front, 4, 5), (*front, 6, 5)], (*front, 4, 6), {"transposed": True})


_B = {False: ("batch", "inner", "column"), True: ("batch", "column", "inner")}


def _steps(buffer: c.Buffer) -> tuple[int, int, int]:
    """Elements in memory between matrices, between rows and between columns; more dimensions in front count as one."""
    shape = buffer.shape
    if len(shape) == 3:  # (b, r, c) is stored as (r, c, b)
        return 1, shape[2] * shape[0], shape[0]
    return shape[-1] * shape[-2], shape[-1], 1


def _masked(call: Call, scores: str, mask: Any) -> str:
    """A mask of terms, or one of truth values."""
    term = call.constant(mask)
    if term is None:
        raise Refused("a mask must be a constant, not computed from the input")
    term = np.where(term, 0.0, LEFT_OUT) if mask.dtype == torch.bool else np.where(term <= LEAST, LEFT_OUT, term)
    return emit_affine(call, scores, term=term) if term.any() else scores


def _shared(call: Call, tensor: str, heads: int) -> str:
    """Keys or values (..., kv_heads, T, d) once for each head of queries."""
    shape = call.builder.shapes[tensor]
    return taken(call, tensor, len(shape) - 3, np.arange(heads) * shape[-3] // heads)


def _is_matrix(value: torch.Tensor | str) -> bool:
    """Whether an operand is one constant matrix for all that the other holds."""
    return isinstance(value, torch.Tensor) and value.ndim > 1 and prod(value.shape[:-2]) == 1


def _linear(call: Call, tensor: str, matrix: torch.Tensor, shape: tuple[int, ...]) -> str:
    """A product with a constant matrix is a layer whose bits can be chosen."""
    if len(call.builder.shapes[tensor]) < 1 or call.builder.shapes[tensor][-1] != matrix.shape[-2]:
        raise Refused("a product that adds up over the batch is not supported")
    weight = as_array(matrix.reshape(matrix.shape[-2:]).T.contiguous())
    return call.emit("linear", [tensor], shape, weight=weight)
