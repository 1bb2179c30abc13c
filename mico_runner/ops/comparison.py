"""comparison: 1 where a tensor is larger, smaller or equal, else 0."""

from __future__ import annotations

import numpy as np
import torch

from mico_runner.ops import register
from mico_runner.ops.affine import emit_affine
from mico_runner.ops.capture import WHOLE, Call, Refused
from mico_runner.ops.expand import same_shape
from mico_runner.ops.node import Node
from mico_runner.ops.table import Table
from mico_runner.ops.whole import store_sign

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
        tensor, known = call.tensor(a), call.constant(b)
        if known is not None:
            return compared(call, call.aligned(tensor), relation, known)
        name, build = f"{call.name}.apart", call.builder
        both = same_shape(call, [tensor, call.tensor(b)])
        apart = build.elementwise(name, "sub", both, call.source)
        if all(_is_whole(node) for node in call.reads):
            store_sign(build, apart, both)
        return build.elementwise(call.name, self.name, [apart], call.source, attrs={"relation": relation, "value": 0.0})

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        found: torch.Tensor = getattr(torch, node.attrs["relation"])(x[0], node.attrs["value"])
        return found.to(x[0].dtype)


def compared(call: Call, tensor: str, relation: str, known: float | np.ndarray) -> str:
    """A node that compares a tensor with constants. Whole numbers are compared exactly: by the sign of a difference of 8 bits."""
    value, known = 0.0, np.asarray(known, np.float64)
    if _is_whole(call.reads[0]):
        if (known != np.rint(known)).any():
            raise Refused("whole numbers are compared with whole numbers")
        apart = emit_affine(call, tensor, term=-known)
        store_sign(call.builder, apart, [tensor])
        tensor = apart
    elif known.ndim or (relation in _ROUNDED and known != 0):
        tensor = emit_affine(call, tensor, term=-known)
    else:
        value = float(known)
    attrs = {"relation": relation, "value": value}
    return call.builder.elementwise(call.name, "comparison", [tensor], call.source, attrs=attrs)


def _is_whole(node: torch.fx.Node) -> bool:
    """Whether a call makes numbers to count with; truth values are none."""
    kind = node.meta["val"].dtype
    return kind in WHOLE and kind != torch.bool
