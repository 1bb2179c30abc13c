"""signum."""

from __future__ import annotations

import torch

from mico_runner.ops import register
from mico_runner.ops.node import Node
from mico_runner.ops.table import Table


@register("signum")
class Signum(Table):
    """-1 below zero, 1 above, 0 at zero."""

    ATEN = ("sign.default", "sgn.default")
    ONNX = "Sign"

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        return x[0].sign()
