"""Rounding by gradients: what methods share that learn all layers of a network together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np
import torch
from torch import Tensor

from mico_runner.graph.run import run_many
from mico_runner.quant.executor import Executor
from mico_runner.quant.qgraph import Assignment, LayerBits, QGraph
from mico_runner.quant.reference import quantize_inputs
from mico_runner.quant.rounding.base import Calibrated
from mico_runner.quant.rounding.gptq import Gptq
from mico_runner.quant.trainable import Trainable

Loss = Callable[[list[Tensor]], Tensor]  # of a batch of images of every input
SEED = 0


class Learned(Gptq):
    """Weights, biases and all steps learn on the calibration images, from the integers of `gptq`; no labels are used.

    What is worse on the calibration images than its start is not taken.

    Attributes:
        STEPS, BATCH, LR, WARM_UP: Adam's, at a cosine schedule.
        CHECKED: calibration images on which the end is compared with the start.
    """

    STEPS = 800
    BATCH = 32
    LR = 2e-3
    WARM_UP = 50
    CHECKED: int | None = None

    def __init__(self) -> None:
        self._found: dict[tuple[tuple[str, LayerBits], ...], QGraph] = {}  # steps ask for one network again and again

    def loss(self, ptq: Calibrated, model: Trainable) -> Loss:
        """What is made small."""
        raise NotImplementedError

    def error(self, found: Tensor, wanted: Tensor, spread: float) -> float:
        """How far real outputs of the integer network are from the float network's, summed over images; `spread` is these' deviation."""
        raise NotImplementedError

    def network(self, ptq: Calibrated, assignment: Assignment) -> QGraph:
        asked = tuple(sorted((name, LayerBits(*bits)) for name, bits in assignment.items()))
        if asked not in self._found:
            self._found[asked] = self._learned(ptq, assignment)
        return self._found[asked]

    def _learned(self, ptq: Calibrated, assignment: Assignment) -> QGraph:
        start, model = super().network(ptq, assignment), Trainable(ptq, assignment, from_integers=True)
        inputs = [torch.from_numpy(np.asarray(x)) for x in ptq.inputs]
        optimiser = torch.optim.Adam(model.parameters(), lr=self.LR)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda i: min(1, (i + 1) / self.WARM_UP) * (1 + np.cos(np.pi * i / self.STEPS)) / 2
        )
        rng = np.random.default_rng(SEED)
        of_batch = self.loss(ptq, model)
        model.train()
        for _ in range(self.STEPS):
            count = len(inputs[0])
            chosen = torch.from_numpy(rng.choice(count, min(self.BATCH, count), replace=False))
            loss = of_batch([x[chosen] for x in inputs])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
        return min((start, model.deployed()), key=lambda q: self._rest(ptq, q))

    def _rest(self, ptq: Calibrated, q: QGraph) -> float:
        executor, total = Executor(q), 0.0
        checked = [x[: self.CHECKED] for x in ptq.inputs]
        for start in range(0, len(checked[0]), self.BATCH):
            images = [x[start : start + self.BATCH] for x in checked]
            integers = executor.run_many(quantize_inputs(q, images))
            for tensor, found, wanted in zip(q.outputs, integers, run_many(ptq.graph, images), strict=True):
                real = torch.from_numpy(found * q.tensors[tensor].type.scale)
                total += self.error(real, wanted.double(), ptq.spread(tensor))
        return total


def floats(ptq: Calibrated, inputs: Sequence[Tensor], kept: Collection[str]) -> dict[str, Tensor]:
    """These tensors of the float network."""
    found: dict[str, Tensor] = {}

    def keep(tensor: str, x: Tensor) -> None:
        if tensor in kept:
            found[tensor] = x

    run_many(ptq.graph, inputs, keep)
    return found
