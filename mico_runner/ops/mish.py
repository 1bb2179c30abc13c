"""mish."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from mico_runner.ops import register
from mico_runner.ops.node import Node
from mico_runner.ops.table import Table


@register("mish")
class Mish(Table):
    """x * tanh(softplus(x))."""

    ATEN = ("mish.default",)
    ONNX = "Mish"

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        return F.mish(x[0])
