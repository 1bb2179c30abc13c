"""distillation: all layers together, so that what the network's scores say stays what the float network's say."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from mico_runner.quant.rounding import register
from mico_runner.quant.rounding.base import Calibrated
from mico_runner.quant.rounding.learned import Learned, Loss, floats
from mico_runner.quant.trainable import Trainable


@register("distillation")
class Distillation(Learned):
    """Weights, biases and all steps learn the float network's probabilities on the calibration images; no labels are used.

    The loss is the divergence of the softmax of the outputs, over their last dimension: what the cross-entropy on the float network's
    own labels grows by (Hinton et al., "Distilling the Knowledge in a Neural Network", 2015, at temperature 1; for language models Liu
    et al., "LLM-QAT", 2023). For decoders: a batch is two sequences.
    """

    STEPS = 160
    BATCH = 2
    LR = 3e-3
    WARM_UP = 20
    CHECKED = 16

    def loss(self, ptq: Calibrated, model: Trainable) -> Loss:
        outputs = ptq.graph.outputs

        def of(batch: list[Tensor]) -> Tensor:
            wanted, found = floats(ptq, batch, outputs), model.values(batch)
            return torch.stack([_divergence(found[tensor], wanted[tensor]).mean() for tensor in outputs]).sum()

        return of

    def error(self, found: Tensor, wanted: Tensor, spread: float) -> float:
        return float(_divergence(found, wanted).sum())


def _divergence(found: Tensor, wanted: Tensor) -> Tensor:
    """Of each row, in nats."""
    of_found, of_wanted = (functional.log_softmax(x, -1) for x in (found, wanted))
    return functional.kl_div(of_found, of_wanted, reduction="none", log_target=True).sum(-1)
