"""threshold."""

from __future__ import annotations

import torch

from mico_runner.ops import register
from mico_runner.ops.node import Node
from mico_runner.ops.table import Table


@register("threshold")
class Threshold(Table):
    """x where it is above `threshold`, else `value`."""

    ATEN = ("threshold.default",)
    ATTRS = ("threshold", "value")
    EXAMPLE = (0.25, -1.0)

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        return torch.nn.functional.threshold(x[0], float(node.attrs["threshold"]), float(node.attrs["value"]))
