"""sigmoid."""

from __future__ import annotations

import torch

from mico_runner.ops import register
from mico_runner.ops.node import Node
from mico_runner.ops.table import Table


@register("sigmoid")
class Sigmoid(Table):
    """1 / (1 + exp(-x))."""

    ATEN = ("sigmoid.default",)
    ONNX = "Sigmoid"

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        return torch.sigmoid(x[0])
