"""logarithm."""

from __future__ import annotations

import torch

from mico_runner.ops import register
from mico_runner.ops.node import Node, QNode, QType
from mico_runner.ops.onnx import OnnxGraph
from mico_runner.ops.table import Table

LEAST = torch.finfo(torch.float32).tiny


@register("logarithm")
class Logarithm(Table):
    """The natural logarithm of x; where x is not above 0, that of the least normal float32."""

    ATEN = ("log.default",)

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        return torch.log(x[0].clamp(min=LEAST))

    def onnx(self, to: OnnxGraph, node: QNode, x: list[str], read: list[QType], made: QType) -> str:
        return to.add("Log", [to.add("Clip", [x[0], to.constant(LEAST)])])
