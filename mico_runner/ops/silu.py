"""silu."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from mico_runner.ops import register
from mico_runner.ops.node import Node
from mico_runner.ops.table import Table


@register("silu")
class Silu(Table):
    """x * sigmoid(x), also called swish."""

    ATEN = ("silu.default",)

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        return F.silu(x[0])
