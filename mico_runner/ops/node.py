"""The nodes of a network: of floats as they are captured, of integers as they are deployed.

What an operator's attributes and constants mean stands in its own file of this package.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from mico_runner.errors import UsageError

TERNARY = 1.5
WEIGHT_BITS = (1, TERNARY, 2, 3, 4, 5, 6, 7, 8)
ACTIVATION_BITS = (1, 2, 3, 4, 5, 6, 7, 8)
INPUT_BITS = 8  # of the network's input, and of what operators without weights read
OUTPUT_BITS = 16  # the network's output, so that ties between classes stay rare; int32 in C
MULTIPLIER_BITS = 22


@dataclass(frozen=True)
class Node:
    """One operator on float32 tensors, which are NCHW with the batch left out: (C, H, W), (F,), tokens (T, F).

    Attributes:
        name: unique; for weighted nodes the module's dotted path in the torch module ("features.0").
        weight, bias: of a node whose bit-widths can be chosen; else None.
        source: "file.py:line" of the call that made it, for messages ("" when unknown).
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    output: str
    attrs: dict[str, Any] = field(default_factory=dict)
    weight: np.ndarray | None = None
    bias: np.ndarray | None = None
    source: str = ""


def weight_of(node: Node) -> np.ndarray:
    """The weight of a node that must have one. Raises ValueError when it has none."""
    if node.weight is None:
        raise ValueError(f"node {node.name!r} ({node.op}) has no weight")
    return node.weight


class LayerBits(NamedTuple):
    """Bit-widths of one weighted layer: its weights, and the activations that it reads."""

    weight: float
    activation: int


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
class Ends:
    """What a network takes and gives: names of tensors. Most have one of each."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def input(self) -> str:
        """The input of a network that has one. Raises UsageError: it has several."""
        return self._only(self.inputs, "inputs")

    @property
    def output(self) -> str:
        """The output of a network that has one. Raises UsageError: it has several."""
        return self._only(self.outputs, "outputs")

    def _only(self, tensors: tuple[str, ...], what: str) -> str:
        if len(tensors) != 1:
            raise UsageError(
                f"network {self.name!r} has {len(tensors)} {what} ({', '.join(tensors)}); allowed here: one"
            )
        return tensors[0]


@dataclass(frozen=True)
class QNode:
    """One integer operator.

    Attributes:
        constants: arrays by name, all that the node computes with: of a weighted one `weight` (int8, values as `weight_bits` allows)
            and `bias` (int32 (Cout,), zeros when the layer has none); of one that requantises `multiplier` and `shift` (int32, over
            the output channels or of length 1); others as the operator's file says.
        weight_bits: 1, 1.5 (ternary), 2 .. 8; None without weights.
        relu_max: upper clamp in output integers (ReLU6), None without.
        weight_scale: float64 (Cout,); information only, the arithmetic does not use it.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    output: str
    attrs: dict[str, Any] = field(default_factory=dict)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    weight_bits: float | None = None
    weight_scale: np.ndarray | None = None
    relu_max: int | None = None

    @property
    def weight(self) -> np.ndarray | None:
        return self.constants.get("weight")

    @property
    def bias(self) -> np.ndarray | None:
        return self.constants.get("bias")

    @property
    def multiplier(self) -> np.ndarray | None:
        return self.constants.get("multiplier")

    @property
    def shift(self) -> np.ndarray | None:
        return self.constants.get("shift")


def weights_of(node: QNode) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias of a node that must have them. Raises KeyError when it has none."""
    return node.constants["weight"], node.constants["bias"]


def scaling_of(node: QNode) -> tuple[np.ndarray, np.ndarray]:
    """Multiplier and shift of a node that requantises. Raises KeyError when it has none."""
    return node.constants["multiplier"], node.constants["shift"]


def storage_bits(weight_bits: float) -> int:
    """Bits per weight in memory: ternary takes 2."""
    return 2 if weight_bits == TERNARY else int(weight_bits)
