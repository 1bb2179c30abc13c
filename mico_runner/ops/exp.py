"""exp."""

from __future__ import annotations

import torch

from mico_runner.ops import register
from mico_runner.ops.node import Node
from mico_runner.ops.table import Table


@register("exp")
class Exp(Table):
    """e to the power of x."""

    ATEN = ("exp.default",)
    ONNX = "Exp"

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        return torch.exp(x[0])
