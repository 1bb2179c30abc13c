"""where: a choice between two tensors, as masks make it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from mico_runner.ops import register
from mico_runner.ops.affine import LEAST, LEFT_OUT, emit_affine
from mico_runner.ops.base import Operator
from mico_runner.ops.capture import OTHER_VALUES, Call, Refused
from mico_runner.ops.expand import same_shape


@register("where")
class Where(Operator):
    """condition * x + (1 - condition) * y; of a computed condition condition * (x - y) + y. No node of its own.

    With a constant condition an affine node, or two and their sum.
    """

    ATEN = ("where.self",)
    NO_KERNEL = "it becomes affine nodes, products and sums"

    def capture(self, call: Call) -> str:
        call.broadcast()
        condition = call.constant(call["condition"])
        if condition is None:
            return _computed(call)
        chosen = [(condition, call["self"]), (1 - condition, call["other"])]
        constants = [call.constant(value) for _, value in chosen]
        parts = [_part(call, factor, value) for factor, value in chosen if not isinstance(value, torch.Tensor)]
        if len(parts) == 2:
            return call.builder.elementwise(call.name, "add", same_shape(call, parts), call.source)
        at = 0 if constants[1] is None else 1
        factor, term = chosen[1 - at][0], _term(call, chosen[at][0], constants[at])
        return emit_affine(call, call.aligned(call.tensor(chosen[1 - at][1])), factor=factor, term=term)


def _computed(call: Call) -> str:
    """By a condition that is computed from the input: a tensor of 0 and 1."""
    condition, x, y = (call["condition"], call["self"], call["other"])
    known_x, known_y = call.constant(x), call.constant(y)
    if any(known is not None and not (abs(known) < -LEAST).all() for known in (known_x, known_y)):
        raise Refused("a condition that is computed from the input cannot choose infinity; choose a finite number")
    chosen = call.aligned(call.tensor(condition))
    if known_x is not None and known_y is not None:
        return emit_affine(call, chosen, factor=known_x - known_y, term=known_y)
    if known_y is not None:
        apart = emit_affine(call, call.aligned(call.tensor(x)), term=-known_y) if known_y.any() else x
    elif known_x is not None:
        apart = emit_affine(call, call.aligned(call.tensor(y)), factor=-1.0, term=known_x)
    else:
        apart = call.builder.elementwise(f"{call.name}.apart", "sub", same_shape(call, [x, y]), call.source)
    operands = same_shape(call, [apart, chosen])
    product = call.builder.elementwise(f"{call.name}.chosen", "mul", operands, call.source)
    if known_y is None:
        return call.builder.elementwise(call.name, "add", same_shape(call, [product, y]), call.source)
    return emit_affine(call, product, term=known_y) if known_y.any() else product


def _part(call: Call, factor: np.ndarray, value: Any) -> str:
    return emit_affine(call, call.aligned(call.tensor(value)), factor=factor)


def _term(call: Call, chosen: np.ndarray, value: Any) -> np.ndarray:
    """The constant where it is chosen, else 0; minus infinity as LEFT_OUT."""
    if (value <= LEAST).any():
        call.node.meta[OTHER_VALUES] = True
    return np.where(chosen == 1, np.where(value <= LEAST, LEFT_OUT, value), 0.0)
