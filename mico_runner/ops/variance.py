"""variance: the mean of squared distances from the mean."""

from __future__ import annotations

from math import prod

from mico_runner.ops import register
from mico_runner.ops.affine import emit_affine
from mico_runner.ops.base import Operator
from mico_runner.ops.capture import Call, Refused
from mico_runner.ops.expand import expanded
from mico_runner.ops.pool import averaged, reduced


@register("variance")
class Variance(Operator):
    """mean((x - mean(x))^2) * n / (n - correction) over any dimensions but the batch. No node of its own."""

    ATEN = ("var.correction", "var_mean.correction")
    NO_KERNEL = "it becomes means, a difference and a square"

    def capture(self, call: Call) -> str | list[str]:
        build, tensor = call.builder, call.input()
        shape, dims = build.shapes[tensor], reduced(call, call["dim"])
        count, correction = prod(shape[d] for d in dims), 1 if call["correction"] is None else call["correction"]
        if count <= correction:
            raise Refused(f"the variance of {count} elements with a correction of {correction} is not a number")
        kept = tuple(1 if d in dims else n for d, n in enumerate(shape))
        mean = build.reshape(averaged(call, tensor, dims), kept, call.source)
        centred = build.elementwise(f"{call.name}.centred", "sub", [tensor, expanded(call, mean, shape)], call.source)
        square = {"exponent": 2}
        squares = build.elementwise(f"{call.name}.square", "pow", [centred], call.source, attrs=square)
        found = emit_affine(call, averaged(call, squares, dims), factor=count / (count - correction))
        left = call.shape if call["keepdim"] else tuple(n for d, n in enumerate(shape) if d not in dims) or (1,)
        found = call.reshape(found, left)
        return [found, call.reshape(mean, left)] if call.target == "var_mean" else found
