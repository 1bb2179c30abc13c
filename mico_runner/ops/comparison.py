"""comparison: 1 where a tensor is larger, smaller or equal, else 0."""

from __future__ import annotations

import torch

from mico_runner.ops import register
from mico_runner.ops.affine import emit_affine
from mico_runner.ops.capture import Call
from mico_runner.ops.expand import same_shape
from mico_runner.ops.node import Node
from mico_runner.ops.table import Table

_SWAPPED = {"gt": "lt", "lt": "gt", "ge": "le", "le": "ge", "eq": "eq", "ne": "ne"}
_ROUNDED = ("eq", "ne")  # zero alone is an integer at every scale


@register("comparison")
class Comparison(Table):
    """1 where x `relation` `value`, else 0; of two tensors their difference is compared with 0.

    `relation` is one of gt, ge, lt, le, eq, ne. In integers two values are equal that the difference's scale does not tell apart.
    """

    ATEN = tuple(f"{relation}.{kind}" for relation in _SWAPPED for kind in ("Scalar", "Tensor"))
    ATTRS = ("relation", "value")
    EXAMPLE = ("gt", 0.25)

    def capture(self, call: Call) -> str:
        call.broadcast()
        a, b, relation = call["self"], call["other"], call.target
        if call.constant(a) is not None:
            a, b, relation = b, a, _SWAPPED[relation]
        tensor, known, value = call.tensor(a), call.constant(b), 0.0
        if known is None:
            apart = f"{call.name}.apart"
            operands = same_shape(call, [tensor, call.tensor(b)])
            tensor = call.builder.elementwise(apart, "sub", operands, call.source)
        elif known.ndim or (relation in _ROUNDED and known != 0):
            tensor = emit_affine(call, call.aligned(tensor), term=-known)
        else:
            value = float(known)
        attrs = {"relation": relation, "value": value}
        return call.builder.elementwise(call.name, self.name, [tensor], call.source, attrs=attrs)

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        found: torch.Tensor = getattr(torch, node.attrs["relation"])(x[0], node.attrs["value"])
        return found.to(x[0].dtype)
