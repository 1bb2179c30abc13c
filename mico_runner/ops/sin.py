"""sin."""

from __future__ import annotations

import torch

from mico_runner.ops import register
from mico_runner.ops.node import Node
from mico_runner.ops.table import Table


@register("sin")
class Sin(Table):
    """The sine of x."""

    ATEN = ("sin.default",)
    ONNX = "Sin"

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        return torch.sin(x[0])
