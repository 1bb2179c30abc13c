"""reconstruction: all layers together, so that every tensor of the network stays near the float network's."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from mico_runner.ops import operator
from mico_runner.quant.rounding import register
from mico_runner.quant.rounding.base import Calibrated
from mico_runner.quant.rounding.learned import Learned, Loss, floats
from mico_runner.quant.trainable import Trainable

TINY = 1e-30
Values = Mapping[str, Tensor]


@register("reconstruction")
class Reconstruction(Learned):
    """Weights, biases and all steps learn to reproduce the float network's tensors on the calibration images; no labels are used.

    The loss is the mean over all tensors of the square error beside their variance, and that of the last layer with weights once more.
    Li et al., "BRECQ: Pushing the Limit of Post-Training Quantization by Block Reconstruction", ICLR 2021, and Wei et al., "QDrop",
    ICLR 2022, take one block after the other and let weights move by less than a step; here the whole network is one block, whose inner
    tensors are kept, too, weights move freely, and steps of activations and weights are learned (LSQ).
    """

    def loss(self, ptq: Calibrated, model: Trainable) -> Loss:
        kept, distance = distance_of(ptq)

        def of(batch: list[Tensor]) -> Tensor:
            return distance(model.values(batch), floats(ptq, batch, kept))

        return of

    def error(self, found: Tensor, wanted: Tensor, spread: float) -> float:
        return float(((found - wanted) ** 2).sum()) / (spread**2 + TINY)


def distance_of(ptq: Calibrated) -> tuple[set[str], Callable[[Values, Values], Tensor]]:
    """The names of all tensors, and how far the integer network's are from the float network's."""
    kept = [step.output for step in ptq.steps if not operator(step.node.op).KEEPS_TYPE]
    last = [step.output for step in ptq.steps if step.node.weight is not None][-1]
    spread = {tensor: ptq.spread(tensor) ** 2 + TINY for tensor in {*kept, last}}

    def distance(found: Values, wanted: Values) -> Tensor:
        errors = {tensor: ((found[tensor] - wanted[tensor]) ** 2).mean() / spread[tensor] for tensor in spread}
        return torch.stack([errors[tensor] for tensor in kept]).mean() + errors[last]

    return set(spread), distance
