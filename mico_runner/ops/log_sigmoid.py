"""log_sigmoid."""

from __future__ import annotations

import torch

from mico_runner.ops import register
from mico_runner.ops.node import Node
from mico_runner.ops.table import Table


@register("log_sigmoid")
class LogSigmoid(Table):
    """The natural logarithm of the sigmoid of x."""

    ATEN = ("log_sigmoid.default",)

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        return torch.nn.functional.logsigmoid(x[0])
