"""The quantised graph: integers only, and the exact arithmetic between them.

This page is the definition; `quant.reference` computes it in numpy, `quant.executor` fast in torch, `codegen` in C, and the
three give the same integers, bit for bit.

**Integers.** A tensor holds integers q with real = scale * q (no zero point). Its type says which q occur:
    unsigned b bits: 0 .. 2^b - 1;  signed b >= 2 bits: -2^(b-1) .. 2^(b-1) - 1;  signed 1 bit: -1 or +1 (never 0).
**Weights.** Signed, symmetric: 1 bit is -1 / +1, `ternary` (weight_bits 1.5) is -1 / 0 / +1 stored in 2 bits, 2..8 bits as above.
**Accumulation.** acc = bias + sum of w * q over the taps inside the input (padding adds nothing), int32. Export checks that the
    worst case fits: |bias| + taps * max|w| * max|q| < 2^31.
**Requantisation** to an output type: r = (acc * multiplier + 2^(shift-1)) >> shift, an arithmetic shift of the int64 product
    (round half up), then clamp to the type's range; to signed 1 bit: +1 when acc >= 0, else -1 (multipliers are positive).
    0 < multiplier < 2^22, so that |acc * multiplier| < 2^53 and float64 computes it exactly; 1 <= shift <= 52.
    `multiplier` and `shift` are arrays over the output channels (weighted nodes) or of length 1 (others).

Operators (attributes as in `graph.ir.OPS`, tensors in NCHW order without batch):
    conv2d, linear   requantised accumulator; ReLU is folded into the unsigned output type; `relu_max` clamps further when set.
    max_pool2d       maximum over the taps inside the input; the type does not change.
    avg_pool2d       acc = sum over the taps inside the input, requantised (the multiplier holds 1 / (kh * kw)).
    add              acc = q0 * multiplier[0] + q1 * multiplier[1]; r = (acc + 2^(shift-1)) >> shift, clamped; one shift.
    concat           each input requantised with its own multiplier[i], shift[i].
    requant          elementwise change of type: r from acc = q.
    reshape          the same integers, another shape.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

TERNARY = 1.5
WEIGHT_BITS = (1, TERNARY, 2, 3, 4, 5, 6, 7, 8)
ACTIVATION_BITS = (1, 2, 3, 4, 5, 6, 7, 8)
OUTPUT_BITS = 16  # the network's output, so that ties between classes stay rare; int32 in C
MULTIPLIER_BITS = 22


class LayerBits(NamedTuple):
    """Bit-widths of one weighted layer: its weights, and the activations that it reads."""

    weight: float
    activation: int


Assignment = dict[str, LayerBits]  # weighted node name -> bits


@dataclass(frozen=True)
class QType:
    """The integers of one tensor and what they mean: real = scale * q."""

    bits: int
    signed: bool
    scale: float

    @property
    def is_sign(self) -> bool:
        """Only -1 and +1 occur."""
        return self.signed and self.bits == 1

    @property
    def qmin(self) -> int:
        return -1 if self.is_sign else -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def qmax(self) -> int:
        return 1 if self.is_sign else (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1


@dataclass(frozen=True)
class QTensor:
    shape: tuple[int, ...]
    type: QType


@dataclass(frozen=True)
class QNode:
    """One integer operator.

    Attributes:
        weight: int8 (Cout, Cin/groups, kh, kw) or (out, in), values as `weight_bits` allows.
        weight_bits: 1, 1.5 (ternary), 2 .. 8; None without weights.
        bias: int32 (Cout,), zeros when the layer has none.
        relu_max: upper clamp in output integers (ReLU6), None without.
        multiplier, shift: int32 arrays, see the module's docstring.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    output: str
    attrs: dict[str, Any] = field(default_factory=dict)
    weight: np.ndarray | None = None
    weight_bits: float | None = None
    weight_scale: np.ndarray | None = None  # float64 (Cout,); information only, the arithmetic does not use it
    bias: np.ndarray | None = None
    relu_max: int | None = None
    multiplier: np.ndarray | None = None
    shift: np.ndarray | None = None


def weights_of(node: QNode) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias of a node that must have them. Raises ValueError when it has none."""
    if node.weight is None or node.bias is None:
        raise ValueError(f"node {node.name!r} ({node.op}) has no weight or no bias")
    return node.weight, node.bias


def scaling_of(node: QNode) -> tuple[np.ndarray, np.ndarray]:
    """Multiplier and shift of a node that requantises. Raises ValueError when it has none."""
    if node.multiplier is None or node.shift is None:
        raise ValueError(f"node {node.name!r} ({node.op}) has no multiplier or no shift")
    return node.multiplier, node.shift


@dataclass(frozen=True)
class QGraph:
    """A network of integers: what `codegen` deploys and `search` evaluates."""

    name: str
    input: str
    output: str
    nodes: tuple[QNode, ...]
    tensors: dict[str, QTensor]


def storage_bits(weight_bits: float) -> int:
    """Bits per weight in memory: ternary takes 2."""
    return 2 if weight_bits == TERNARY else int(weight_bits)
