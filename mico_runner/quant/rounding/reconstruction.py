"""reconstruction: all layers together, so that every tensor of the network stays near the float network's."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch
from torch import Tensor

from mico_runner.graph.run import run_many
from mico_runner.ops import operator
from mico_runner.quant.executor import Executor
from mico_runner.quant.qgraph import Assignment, LayerBits, QGraph
from mico_runner.quant.reference import quantize_inputs
from mico_runner.quant.rounding import register
from mico_runner.quant.rounding.base import Calibrated
from mico_runner.quant.rounding.gptq import Gptq
from mico_runner.quant.trainable import Trainable

STEPS, BATCH, LR, WARM_UP = 800, 32, 2e-3, 50
SEED = 0
TINY = 1e-30


@register("reconstruction")
class Reconstruction(Gptq):
    """Weights, biases and all steps learn to reproduce the float network's tensors on the calibration images; no labels are used.

    Starts from `gptq`. The loss is the mean over all tensors of the square error beside their variance, and that of the last layer with
    weights once more. Li et al., "BRECQ: Pushing the Limit of Post-Training Quantization by Block Reconstruction", ICLR 2021, and Wei et
    al., "QDrop", ICLR 2022, take one block after the other and let weights move by less than a step; here the whole network is one
    block, whose inner tensors are kept, too, weights move freely, and steps of activations and weights are learned (LSQ). What is worse
    on the calibration images than its start is not taken.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[tuple[str, LayerBits], ...], QGraph] = {}  # steps ask for one network again and again

    def network(self, ptq: Calibrated, assignment: Assignment) -> QGraph:
        asked = tuple(sorted((name, LayerBits(*bits)) for name, bits in assignment.items()))
        if asked not in self._found:
            self._found[asked] = self._learned(ptq, assignment)
        return self._found[asked]

    def _learned(self, ptq: Calibrated, assignment: Assignment) -> QGraph:
        start, model = super().network(ptq, assignment), Trainable(ptq, assignment, from_integers=True)
        kept = [step.output for step in ptq.steps if not operator(step.node.op).KEEPS_TYPE]
        last = [step.output for step in ptq.steps if step.node.weight is not None][-1]
        inputs = [torch.from_numpy(np.asarray(x)) for x in ptq.inputs]
        optimiser = torch.optim.Adam(model.parameters(), lr=LR)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda i: min(1, (i + 1) / WARM_UP) * (1 + np.cos(np.pi * i / STEPS)) / 2
        )
        rng = np.random.default_rng(SEED)
        spread = {tensor: ptq.spread(tensor) ** 2 + TINY for tensor in {*kept, last}}
        model.train()
        for _ in range(STEPS):
            chosen = torch.from_numpy(rng.choice(len(inputs[0]), min(BATCH, len(inputs[0])), replace=False))
            batch = [x[chosen] for x in inputs]
            wanted, found = _floats(ptq, batch, spread), model.values(batch)
            errors = {tensor: ((found[tensor] - wanted[tensor]) ** 2).mean() / spread[tensor] for tensor in spread}
            loss = torch.stack([errors[tensor] for tensor in kept]).mean() + errors[last]
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
        return min((start, model.deployed()), key=lambda q: _error(ptq, q))


def _floats(ptq: Calibrated, inputs: Sequence[Tensor], kept: Collection[str]) -> dict[str, Tensor]:
    """The float network's tensors."""
    found: dict[str, Tensor] = {}

    def keep(tensor: str, x: Tensor) -> None:
        if tensor in kept:
            found[tensor] = x

    run_many(ptq.graph, inputs, keep)
    return found


def _error(ptq: Calibrated, q: QGraph) -> float:
    """Square error of the outputs on the calibration images, each output beside its variance."""
    executor, total = Executor(q), 0.0
    for start in range(0, len(ptq.inputs[0]), BATCH):
        images = [x[start : start + BATCH] for x in ptq.inputs]
        integers = executor.run_many(quantize_inputs(q, images))
        real = run_many(ptq.graph, images)
        for tensor, found, wanted in zip(q.outputs, integers, real, strict=True):
            rest = found * q.tensors[tensor].type.scale - wanted.double().numpy()
            total += float((rest**2).sum()) / (ptq.spread(tensor) ** 2 + TINY)
    return total
