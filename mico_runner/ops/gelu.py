"""gelu."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from mico_runner.ops import register
from mico_runner.ops.node import Node
from mico_runner.ops.table import Table


@register("gelu")
class Gelu(Table):
    """x times the normal distribution's probability below x; `approximate` is "none" or "tanh"."""

    ATEN = ("gelu.default",)
    ATTRS = ("approximate",)
    EXAMPLE = ("tanh",)

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        return F.gelu(x[0], approximate=node.attrs["approximate"])
