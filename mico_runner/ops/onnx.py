"""How operators say what they are in ONNX: in real numbers, between the quantised tensors of a QDQ model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from mico_runner.ops.node import QNode, QType

INT64 = 7  # onnx.TensorProto.INT64, what Cast makes of a number to be an index


class OnnxGraph(Protocol):
    """A model in the making. Tensors are float32 (N, ...), by name."""

    def add(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Append a node of ONNX's; the name of its one output."""

    def constant(self, values: np.ndarray | float) -> str:
        """The name of an initialiser, of the type that the array has; float64 and a number become float32."""

    def shape(self, tensor: str) -> tuple[int, ...]:
        """Of a tensor of the integer network, without batch."""

    def weights(self, node: QNode, read: QType, made: QType, transposed: bool = False) -> tuple[str, str]:
        """Weights, of a matrix its transpose if asked for, and biases of a weighted node, dequantised."""


def scale_of(node: QNode, read: QType, made: QType) -> np.ndarray:
    """Real values of one step of the accumulator / those of one step of the input: what `multiplier` and `shift` stand for."""
    multiplier, shift = (node.constants[name].astype(np.float64) for name in ("multiplier", "shift"))
    scale: np.ndarray = np.ldexp(multiplier, -shift.astype(np.int64)) * made.scale / read.scale
    return scale


def whole(*values: int) -> np.ndarray:
    """A list of whole numbers, as ONNX takes shapes and axes."""
    return np.array(values, np.int64)
