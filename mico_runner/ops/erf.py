"""erf."""

from __future__ import annotations

import torch

from mico_runner.ops import register
from mico_runner.ops.node import Node
from mico_runner.ops.table import Table


@register("erf")
class Erf(Table):
    """2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x."""

    ATEN = ("erf.default",)
    ONNX = "Erf"

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        return torch.erf(x[0])
