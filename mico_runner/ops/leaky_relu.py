"""leaky_relu."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from mico_runner.ops import register
from mico_runner.ops.capture import Call, Refused
from mico_runner.ops.node import Node
from mico_runner.ops.table import Table


@register("leaky_relu")
class LeakyRelu(Table):
    """x, or `negative_slope` * x below zero."""

    ATEN = ("leaky_relu.default", "rrelu.default")
    ATTRS = ("negative_slope",)
    EXAMPLE = (0.1,)

    def scales(self, node: Node) -> bool:
        return True

    def attrs(self, call: Call) -> dict[str, Any]:
        """A slope that training draws is the middle of what it draws from."""
        if call.target != "rrelu":
            return super().attrs(call)
        if call["training"]:
            raise Refused("rrelu with training=True is random in eval mode, too")
        return {"negative_slope": (call["lower"] + call["upper"]) / 2}

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        return F.leaky_relu(x[0], node.attrs["negative_slope"])
