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
    """condition * x + (1 - condition) * y, of a constant condition: an affine node, or two and their sum. No node of its own."""

    ATEN = ("where.self",)
    NO_KERNEL = "it becomes affine nodes"

    def capture(self, call: Call) -> str:
        call.broadcast()
        condition = call.constant(call["condition"])
        if condition is None:
            raise Refused("a condition must be a constant, not computed from the input")
        chosen = [(condition, call["self"]), (1 - condition, call["other"])]
        constants = [call.constant(value) for _, value in chosen]
        parts = [_part(call, factor, value) for factor, value in chosen if not isinstance(value, torch.Tensor)]
        if len(parts) == 2:
            return call.builder.elementwise(call.name, "add", same_shape(call, parts), call.source)
        at = 0 if constants[1] is None else 1
        factor, term = chosen[1 - at][0], _term(call, chosen[at][0], constants[at])
        return emit_affine(call, call.aligned(call.tensor(chosen[1 - at][1])), factor=factor, term=term)


def _part(call: Call, factor: np.ndarray, value: Any) -> str:
    return emit_affine(call, call.aligned(call.tensor(value)), factor=factor)


def _term(call: Call, chosen: np.ndarray, value: Any) -> np.ndarray:
    """The constant where it is chosen, else 0; minus infinity as LEFT_OUT."""
    if (value <= LEAST).any():
        call.node.meta[OTHER_VALUES] = True
    return np.where(chosen == 1, np.where(value <= LEAST, LEFT_OUT, value), 0.0)
