"""elu, and its kin selu and celu."""

from __future__ import annotations

import torch

from mico_runner.ops import register
from mico_runner.ops.capture import Call
from mico_runner.ops.node import Node
from mico_runner.ops.table import Table

SELU_ALPHA, SELU_SCALE = (
    1.6732632423543772,
    1.0507009873554805,
)  # Klambauer et al. 2017, "Self-Normalizing Neural Networks"


@register("elu")
class Elu(Table):
    """`scale` * x, or `scale` * `alpha` * (exp(`input_scale` * x) - 1) below zero."""

    ATEN = ("elu.default", "selu.default", "celu.default")
    ATTRS = ("alpha", "scale", "input_scale")
    EXAMPLE = (1.0, 1.0, 1.0)

    def attrs(self, call: Call) -> dict[str, float]:
        if call.target == "selu":
            return {"alpha": SELU_ALPHA, "scale": SELU_SCALE, "input_scale": 1.0}
        if call.target == "celu":
            return {"alpha": float(call["alpha"]), "scale": 1.0, "input_scale": 1 / float(call["alpha"])}
        return super().attrs(call)

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        a = node.attrs
        below = a["alpha"] * torch.expm1(a["input_scale"] * x[0].clamp(max=0))
        return torch.where(x[0] > 0, x[0], below).mul(a["scale"])
