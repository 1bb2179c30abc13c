"""Sums and products of tensors and constants, and operators that leave values as they are."""

from __future__ import annotations

import functools

import numpy as np
import torch
import torch.nn.functional as F

from mico_runner.formats.onnx_file.model_file import package
from mico_runner.formats.onnx_file.network import OnnxNode
from mico_runner.formats.onnx_file.translation import refuse_more_outputs, tensor_like, translates

_FLOATS = ("float16", "bfloat16", "float32", "float64")  # all of them are float32 here


@translates("Add", names=("term", "term"))
def add(node: OnnxNode, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return a + b


@translates("Sub", names=("term", "term"))
def sub(node: OnnxNode, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return a - b


@translates("Mul", names=("factor", "factor"))
def mul(node: OnnxNode, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return a * b


@translates("Div", names=("numerator", "divisor"))
def div(node: OnnxNode, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return a / b


@translates("Sum", names=())
def total(node: OnnxNode, *values: torch.Tensor) -> torch.Tensor:
    return functools.reduce(torch.add, values)


@translates("Mean", names=())
def mean(node: OnnxNode, *values: torch.Tensor) -> torch.Tensor:
    return functools.reduce(torch.add, values) / len(values)


@translates("Max", names=())
def largest(node: OnnxNode, *values: torch.Tensor) -> torch.Tensor:
    return functools.reduce(_larger, values)


@translates("Min", names=())
def smallest(node: OnnxNode, *values: torch.Tensor) -> torch.Tensor:
    return functools.reduce(lambda a, b: -_larger(-a, -b), values)


def _larger(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """max(a, b) by operators that every target has."""
    return F.relu(a - b) + b


@translates("Pow", arguments=(1,))
def power(node: OnnxNode, x: torch.Tensor, exponent: np.ndarray) -> torch.Tensor:
    if exponent.size > 1:
        raise ValueError("exponents must be one number")
    value = float(exponent.ravel()[0])
    return x if value == 1 else torch.pow(x, int(value) if value.is_integer() else value)


@translates("Where", arguments=(0,), computed=(0,))
def where(node: OnnxNode, condition: np.ndarray | torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """A choice that is constant is a product with zeros and ones."""
    if isinstance(condition, torch.Tensor):
        return torch.where(condition, a, b)
    chosen = condition.astype(np.float32)
    return a * tensor_like(chosen, a) + b * tensor_like(1 - chosen, b)


@translates("Identity", "Dropout", arguments=(1, 2), ignored=("seed", "ratio"))
def identity(
    node: OnnxNode, x: torch.Tensor, ratio: np.ndarray | None = None, training: np.ndarray | None = None
) -> torch.Tensor:
    """Dropout does nothing outside of training."""
    refuse_more_outputs(node)
    if training is not None and training.any() and (ratio is None or float(ratio) > 0):
        raise ValueError("dropout in training mode draws random numbers; export the network in eval mode")
    return x


@translates("Cast", ignored=("saturate", "round_mode"))
def cast(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    """All floats are float32 here."""
    types = package().TensorProto
    if node.get("to") in (types.INT32, types.INT64) and not x.is_floating_point() and x.dtype != torch.bool:
        return x
    if x.dtype not in (torch.float32, torch.float64, torch.bool):
        raise ValueError("whole numbers stay whole: nothing but embeddings reads them")
    if node.get("to") not in (types.FLOAT, types.FLOAT16, types.BFLOAT16, types.DOUBLE):
        kind = types.DataType.Name(node.get("to")).lower()
        raise ValueError(f"a conversion of a computed tensor to {kind} is not supported; tensors are floats")
    return x.float() if x.dtype == torch.bool else x


@translates("CastLike", arguments=(1,), ignored=("saturate", "round_mode"))
def cast_like(node: OnnxNode, x: torch.Tensor, like: np.ndarray) -> torch.Tensor:
    if str(like.dtype) not in _FLOATS:
        raise ValueError(f"a conversion of a computed tensor to {like.dtype} is not supported; tensors are floats")
    return x
