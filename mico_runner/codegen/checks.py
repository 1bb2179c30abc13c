"""The bounds of `quant.qgraph` that make int32 and int64 arithmetic safe, checked before any C is written."""

from __future__ import annotations

import numpy as np

from mico_runner.codegen.program import stored_bits
from mico_runner.errors import StepError
from mico_runner.quant.qgraph import MULTIPLIER_BITS, TERNARY, WEIGHT_BITS, QGraph, QNode, QType, scaling_of, weights_of

ACTIVATION_BITS_MAX = 8
SHIFT_MAX = 52
INT32 = 1 << 31


def check(graph: QGraph, node: QNode) -> None:
    """Raise StepError, naming the node, when one of its numbers is outside the bounds."""
    if "weight" in node.constants:
        _check_weights(graph, node)
    if "multiplier" in node.constants:
        _check_scales(node)


def _check_weights(graph: QGraph, node: QNode) -> None:
    source = graph.tensors[node.inputs[0]].type
    _require(
        node, source.bits <= ACTIVATION_BITS_MAX, f"reads {source.bits}-bit activations; at most {ACTIVATION_BITS_MAX}"
    )
    _require(node, node.weight_bits in WEIGHT_BITS, f"weight_bits {node.weight_bits}; allowed: {WEIGHT_BITS}")
    kind = QType(stored_bits(node), True, 1.0)
    low, high = (-1, 1) if node.weight_bits == TERNARY else (kind.qmin, kind.qmax)
    weights, bias = weights_of(node)
    weight = weights.astype(np.int64)
    _require(node, weight.min() >= low and weight.max() <= high, f"weights outside {low} .. {high}")
    _require(
        node, node.weight_bits != 1 or bool((weight != 0).all()), "a 1-bit weight is 0; only -1 and +1 can be stored"
    )
    worst = np.abs(weight).reshape(len(weight), -1).sum(axis=1) * max(-source.qmin, source.qmax)
    worst = worst + np.abs(bias.astype(np.int64))
    _require(node, int(worst.max()) < INT32, f"the accumulator can reach {int(worst.max())}, more than int32 holds")


def _check_scales(node: QNode) -> None:
    multiplier, shift = (np.asarray(array) for array in scaling_of(node))
    _require(
        node,
        int(multiplier.min()) > 0 and int(multiplier.max()) < 1 << MULTIPLIER_BITS,
        f"multipliers {multiplier.min()} .. {multiplier.max()}; allowed: 1 .. 2^{MULTIPLIER_BITS} - 1",
    )
    _require(
        node,
        int(shift.min()) >= 1 and int(shift.max()) <= SHIFT_MAX,
        f"shifts {shift.min()} .. {shift.max()}; allowed: 1 .. {SHIFT_MAX}",
    )


def _require(node: QNode, holds: bool, message: str) -> None:
    if not holds:
        raise StepError(f"codegen: node {node.name!r} ({node.op}): {message}")
