"""sub."""

from __future__ import annotations

import torch

from mico_runner.ops import register
from mico_runner.ops.add import Add
from mico_runner.ops.node import Node


@register("sub")
class Sub(Add):
    """Difference of two tensors: as `add`, with the second multiplier negative."""

    ATEN = ("sub.Tensor",)
    DNNWEAVER = ""
    SIGN = -1

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        return x[0] - x[1]
