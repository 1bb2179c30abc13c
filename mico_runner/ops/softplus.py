"""softplus."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from mico_runner.ops import register
from mico_runner.ops.node import Node
from mico_runner.ops.table import Table


@register("softplus")
class Softplus(Table):
    """log(1 + exp(beta * x)) / beta, x itself where beta * x is above `threshold`."""

    ATEN = ("softplus.default",)
    ATTRS = ("beta", "threshold")
    EXAMPLE = (1.0, 20.0)

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        return F.softplus(x[0], node.attrs["beta"], node.attrs["threshold"])
