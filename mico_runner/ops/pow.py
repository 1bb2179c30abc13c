"""pow."""

from __future__ import annotations

import torch

from mico_runner.ops import register
from mico_runner.ops.node import Node
from mico_runner.ops.table import Table


@register("pow")
class Pow(Table):
    """x to a constant `exponent`; 0.5 is the square root."""

    ATEN = ("pow.Tensor_Scalar",)
    ATTRS = ("exponent",)
    EXAMPLE = (2,)

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        return torch.pow(x[0], node.attrs["exponent"])
