"""The quantised graph: integers only, and the exact arithmetic between them.

This page is the definition, with that of each operator in its file of `mico_runner.ops`; `quant.reference` computes it in numpy,
`quant.executor` fast in torch, `codegen` in C, and the three give the same integers, bit for bit.

**Integers.** A tensor holds integers q with real = scale * q (no zero point). Its type says which q occur:
    unsigned b bits: 0 .. 2^b - 1;  signed b >= 2 bits: -2^(b-1) .. 2^(b-1) - 1;  signed 1 bit: -1 or +1 (never 0).
**Weights.** Signed, symmetric: 1 bit is -1 / +1, `ternary` (weight_bits 1.5) is -1 / 0 / +1 stored in 2 bits, 2..8 bits as above.
**Accumulation.** acc = bias + sum of w * q over the taps inside the input (padding adds nothing), int32. Export checks that the
    worst case fits: |bias| + taps * max|w| * max|q| < 2^31.
**Requantisation** to an output type: r = (acc * multiplier + 2^(shift-1)) >> shift, an arithmetic shift of the int64 product
    (round half up), then clamp to the type's range; to signed 1 bit: +1 when acc >= 0, else -1 (multipliers are positive).
    0 < multiplier < 2^22, so that |acc * multiplier| < 2^53 and float64 computes it exactly; 1 <= shift <= 52.
    `multiplier` and `shift` are arrays over the output channels (weighted nodes) or of length 1 (others). `relu_max` clamps further
    when set; a ReLU is folded into the unsigned output type.
**Exits.** A network may end early: after the nodes that an exit's tensor depends on, where the largest of its integers exceeds the second
    largest by the exit's margin or more, that tensor is the output, and nothing behind it is computed.
**Order.** Tensors are in NCHW order without batch.
"""

from __future__ import annotations

from dataclasses import dataclass

from mico_runner.ops.node import (
    ACTIVATION_BITS,
    INPUT_BITS,
    MULTIPLIER_BITS,
    OUTPUT_BITS,
    TERNARY,
    WEIGHT_BITS,
    Ends,
    LayerBits,
    QNode,
    QTensor,
    QType,
    scaling_of,
    storage_bits,
    weights_of,
)

__all__ = [
    "ACTIVATION_BITS",
    "INPUT_BITS",
    "MULTIPLIER_BITS",
    "OUTPUT_BITS",
    "TERNARY",
    "WEIGHT_BITS",
    "Assignment",
    "Exit",
    "LayerBits",
    "QGraph",
    "QNode",
    "QTensor",
    "QType",
    "scaling_of",
    "storage_bits",
    "weights_of",
]

Assignment = dict[str, LayerBits]  # weighted node name -> bits


@dataclass(frozen=True)
class Exit:
    """Where a network of classes may end early.

    Attributes:
        tensor: scores (classes,), of the same shape as the network's output.
        margin: what the largest score must exceed the second largest by, at least, in integers of `tensor`.
    """

    tensor: str
    margin: int


@dataclass(frozen=True)
class QGraph(Ends):
    """A network of integers: what `codegen` deploys and `search` evaluates.

    Attributes:
        exits: in the order of the nodes that they depend on (`quant.exits.staged`); most networks have none.
    """

    nodes: tuple[QNode, ...]
    tensors: dict[str, QTensor]
    exits: tuple[Exit, ...] = ()

    @property
    def answers(self) -> tuple[str, ...]:
        """What may be the output: the exits' tensors, then the outputs."""
        return (*(exit.tensor for exit in self.exits), *self.outputs)
