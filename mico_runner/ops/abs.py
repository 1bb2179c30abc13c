"""abs."""

from __future__ import annotations

import torch

from mico_runner.ops import register
from mico_runner.ops.node import Node
from mico_runner.ops.table import Table


@register("abs")
class Abs(Table):
    """Magnitude."""

    ATEN = ("abs.default",)
    ONNX = "Abs"

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        return x[0].abs()
