"""What a rounding method is, and what it is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from mico_runner.graph.fusion import FusedNode
from mico_runner.graph.ir import Graph
from mico_runner.quant.assembly import ChooseType, QuantisedWeights
from mico_runner.quant.qgraph import Assignment, LayerBits, QGraph, QType


class Problem(Protocol):
    """One layer, or one group of its channels (`quant.compensation`).

    Attributes:
        own: the layer's real weights, (out, K).
        rows: the real weights that best reproduce its outputs from what the integer layer reads, (out, K).
    """

    own: np.ndarray
    rows: np.ndarray

    def times(self, q: np.ndarray) -> np.ndarray:
        """q H for (out, K) values, with H = mean(xq xq') of the inputs: the error of q is (rows - q) H (rows - q)'."""

    def compensating(self, scales: np.ndarray, bits: float) -> np.ndarray:
        """int8 (out, K), rounded column by column with the error spread over those that follow."""


class Calibrated(Protocol):
    """A network with what calibration says of it (`quant.ptq.PTQ`).

    Attributes:
        inputs: calibration images of every input, float32 (N, *shape).
    """

    graph: Graph
    inputs: Sequence[np.ndarray]
    steps: list[FusedNode]

    def assembled(self, assignment: Assignment, choose_type: ChooseType, weights: QuantisedWeights) -> QGraph:
        """The integer network for checked bits."""

    def type_at(self, tensor: str, bits: int) -> QType:
        """The type of a tensor that is stored at so many bits."""

    def like(self, tensor: str, bits: int) -> tuple[str, int]:
        """A key that tensors share whose values decide one scale."""

    def spread(self, tensor: str) -> float:
        """Standard deviation of a tensor's values on the calibration images."""

    def weights_at(self, name: str, bits: LayerBits, read: QType) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Integer weights, scales (Cout,) and real bias (Cout,) of a layer that reads integers of one type."""


class Rounding:
    """Rounds the weights of one layer after the other, or those of the whole network together."""

    def layer(self, problem: Problem, scales: np.ndarray, bits: float) -> np.ndarray:
        """int8 (out, K): the integers of a layer, weight = scale (out,) * integer."""
        raise NotImplementedError

    def network(self, ptq: Calibrated, assignment: Assignment) -> QGraph:
        """The integer network for checked bits. Raises StepError: an accumulator could overflow."""
        return ptq.assembled(assignment, ptq.type_at, ptq.weights_at)
