"""hardswish."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from mico_runner.ops import register
from mico_runner.ops.node import Node
from mico_runner.ops.table import Table


@register("hardswish")
class Hardswish(Table):
    """x * relu6(x + 3) / 6."""

    ATEN = ("hardswish.default",)
    ONNX = "HardSwish"

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        return F.hardswish(x[0])
