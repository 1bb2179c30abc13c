"""pow."""

from __future__ import annotations

import torch

from mico_runner.ops import register
from mico_runner.ops.capture import Call
from mico_runner.ops.node import Node
from mico_runner.ops.table import Table


@register("pow")
class Pow(Table):
    """x to a constant `exponent`; 0.5 is the square root."""

    ATEN = ("pow.Tensor_Scalar", "sqrt.default", "rsqrt.default", "reciprocal.default", "square.default")
    ATTRS = ("exponent",)
    EXAMPLE = (2,)

    def attrs(self, call: Call) -> dict[str, float]:
        known = {"sqrt": 0.5, "rsqrt": -0.5, "reciprocal": -1, "square": 2}
        return {"exponent": known[call.target] if call.target in known else call["exponent"]}

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        return torch.pow(x[0], node.attrs["exponent"])
