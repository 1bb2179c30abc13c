"""clip."""

from __future__ import annotations

import torch

from mico_runner.ops import register
from mico_runner.ops.node import Node
from mico_runner.ops.table import Table


@register("clip")
class Clip(Table):
    """x, not below `low` and not above `high` where they are given; `relu` takes the limits 0 and 6."""

    ATTRS = ("low", "high")
    EXAMPLE = (-0.5, 1.0)

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        return x[0].clamp(min=node.attrs["low"], max=node.attrs["high"])
