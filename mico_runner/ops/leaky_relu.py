"""leaky_relu."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from mico_runner.ops import register
from mico_runner.ops.node import Node
from mico_runner.ops.table import Table


@register("leaky_relu")
class LeakyRelu(Table):
    """x, or `negative_slope` * x below zero."""

    ATEN = ("leaky_relu.default",)
    ATTRS = ("negative_slope",)
    EXAMPLE = (0.1,)

    def scales(self, node: Node) -> bool:
        return True

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        return F.leaky_relu(x[0], node.attrs["negative_slope"])
