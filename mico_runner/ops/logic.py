"""logic: truth values, which are 0 and 1."""

from __future__ import annotations

import torch

from mico_runner.ops import register
from mico_runner.ops.affine import emit_affine
from mico_runner.ops.base import Operator
from mico_runner.ops.capture import Call, Refused
from mico_runner.ops.expand import same_shape

_AND, _OR = ("logical_and", "bitwise_and", "__and__"), ("logical_or", "bitwise_or", "__or__")
_NOT = ("logical_not", "bitwise_not")


@register("logic")
class Logic(Operator):
    """x and y = x * y; x or y = min(x + y, 1); not x = 1 - x. No node of its own."""

    ATEN = (
        *(f"{name}.{'default' if name.startswith('logical') else 'Tensor'}" for name in (*_AND, *_OR)),
        *(f"{name}.default" for name in _NOT),
    )
    NO_KERNEL = "it becomes products, sums and affine nodes"

    def capture(self, call: Call) -> str:
        if any(node.meta["val"].dtype != torch.bool for node in call.reads):
            raise Refused("only truth values are supported, as comparisons make them")
        call.broadcast()
        if call.target in _NOT:
            return emit_affine(call, call.input(), factor=-1.0, term=1.0)
        a, b = call["self"], call["other"]
        if call.constant(a) is not None:
            a, b = b, a
        known, both = call.constant(b), call.target in _AND
        if known is not None:
            x = call.aligned(call.tensor(a))
            return emit_affine(call, x, factor=known if both else 1 - known, term=0.0 if both else known)
        build, operands = call.builder, same_shape(call, [call.tensor(a), call.tensor(b)])
        if both:
            return build.elementwise(call.name, "mul", operands, call.source)
        total = build.elementwise(f"{call.name}.sum", "add", operands, call.source)
        return build.elementwise(call.name, "relu", [total], call.source, attrs={"max": 1.0})
