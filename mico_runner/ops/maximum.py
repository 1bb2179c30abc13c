"""maximum: the larger, or the smaller, of two tensors."""

from __future__ import annotations

from mico_runner.ops import register
from mico_runner.ops.affine import emit_affine
from mico_runner.ops.base import Operator
from mico_runner.ops.capture import Call
from mico_runner.ops.expand import same_shape


@register("maximum")
class Maximum(Operator):
    """max(x, y) = y + relu(x - y), min(x, y) = y - relu(y - x); with a constant y, an affine node takes the place of each sum.

    No node of its own.
    """

    ATEN = ("maximum.default", "minimum.default")
    NO_KERNEL = "it becomes a difference, a ReLU and a sum"

    def capture(self, call: Call) -> str:
        call.broadcast()
        a, b = call["self"], call["other"]
        if call.constant(a) is not None:
            a, b = b, a
        sign, name, build = 1.0 if call.target == "maximum" else -1.0, call.name, call.builder
        if (known := call.constant(b)) is not None:
            apart = emit_affine(call, call.aligned(call.tensor(a)), factor=sign, term=-sign * known)
            above = build.elementwise(f"{name}.relu", "relu", [apart], call.source, attrs={"max": None})
            return emit_affine(call, above, factor=sign, term=known)
        x, y = same_shape(call, [call.tensor(a), call.tensor(b)])
        apart = build.elementwise(f"{name}.apart", "sub", [x, y] if sign > 0 else [y, x], call.source)
        above = build.elementwise(f"{name}.relu", "relu", [apart], call.source, attrs={"max": None})
        return build.elementwise(name, "add" if sign > 0 else "sub", [y, above], call.source)
