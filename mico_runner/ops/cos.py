"""cos."""

from __future__ import annotations

import torch

from mico_runner.ops import register
from mico_runner.ops.node import Node
from mico_runner.ops.table import Table


@register("cos")
class Cos(Table):
    """The cosine of x."""

    ATEN = ("cos.default",)
    ONNX = "Cos"

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        return torch.cos(x[0])
