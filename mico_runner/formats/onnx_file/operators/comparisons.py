"""Comparisons, and what is computed with truth values."""

from __future__ import annotations

import torch

from mico_runner.formats.onnx_file.network import OnnxNode
from mico_runner.formats.onnx_file.translation import translates

_COMPARED = {
    "Greater": torch.gt,
    "GreaterOrEqual": torch.ge,
    "Less": torch.lt,
    "LessOrEqual": torch.le,
    "Equal": torch.eq,
}
_JOINED = {"And": torch.logical_and, "Or": torch.logical_or}


@translates(*_COMPARED, names=("threshold", "threshold"))
def compare(node: OnnxNode, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return _COMPARED[node.kind](a, b)


@translates(*_JOINED, names=())
def join(node: OnnxNode, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return _JOINED[node.kind](_truth(a), _truth(b))


def _truth(value: torch.Tensor) -> torch.Tensor:
    """Constants of the file are floats."""
    return value if value.dtype == torch.bool else value != 0


@translates("Not")
def invert(node: OnnxNode, a: torch.Tensor) -> torch.Tensor:
    return torch.logical_not(a)
