"""The natural logarithm."""

from __future__ import annotations

import torch

from mico_runner.ops import register
from mico_runner.ops.node import Node
from mico_runner.ops.table import Table


@register("logarithm")
class Logarithm(Table):
    """The natural logarithm of x; where x is not above 0, that of the least normal float32."""

    ATEN = ("log.default",)
    ONNX = "Log"

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        return torch.log(x[0].clamp(min=torch.finfo(torch.float32).tiny))
