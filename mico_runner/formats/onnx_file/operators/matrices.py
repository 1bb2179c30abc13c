"""Products of matrices."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from mico_runner.formats.onnx_file.network import OnnxNode
from mico_runner.formats.onnx_file.translation import translates


@translates("Gemm")
def gemm(node: OnnxNode, a: torch.Tensor, b: torch.Tensor, c: torch.Tensor | None = None) -> torch.Tensor:
    """alpha a b + beta c; a layer where b is constant."""
    alpha, beta = node.get("alpha", 1.0), node.get("beta", 1.0)
    a = a.t() if node.get("transA", 0) else a
    c = c if c is None or beta == 1.0 else c * beta
    if not is_constant(b):
        b = b.t() if node.get("transB", 0) else b
        product = torch.matmul(a, b) if alpha == 1.0 else torch.matmul(a, b) * alpha
        return product if c is None else product + c
    weight = b if node.get("transB", 0) else b.t()
    weight = weight if alpha == 1.0 else weight * alpha
    if c is not None and is_constant(c) and (c.ndim < 2 or c.shape[0] == 1):
        return F.linear(a, weight, c.reshape(-1).expand(len(weight)))
    product = F.linear(a, weight)
    return product if c is None else product + c


@translates("MatMul", names=("weight", "weight"))
def matmul(node: OnnxNode, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """A layer where one of the two is a constant matrix."""
    if is_constant(b) and b.ndim == 2 and a.ndim > 1:
        return F.linear(a, b.t())
    if is_constant(a) and a.ndim == 2 and b.ndim > 2:
        return F.linear(b.transpose(-1, -2), a).transpose(-1, -2)
    return torch.matmul(_with_batch(a, b), _with_batch(b, a))


def _with_batch(value: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """A constant with a batch of one in front, where the other factor has more dimensions."""
    if is_constant(value) and value.ndim < other.ndim:
        return value.reshape(*[1] * (other.ndim - value.ndim), *value.shape)
    return value


@translates("Einsum", names=())
def einsum(node: OnnxNode, *values: torch.Tensor) -> torch.Tensor:
    return torch.einsum(node.get("equation").replace(" ", ""), *values)


def is_constant(value: Any) -> bool:
    """Whether a tensor is a parameter of a node, and not computed from the network's input."""
    return isinstance(value, torch.nn.Parameter)
