"""tanh."""

from __future__ import annotations

import torch

from mico_runner.ops import register
from mico_runner.ops.node import Node
from mico_runner.ops.table import Table


@register("tanh")
class Tanh(Table):
    """Hyperbolic tangent."""

    ATEN = ("tanh.default",)
    ONNX = "Tanh"

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        return torch.tanh(x[0])
