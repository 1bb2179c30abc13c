"""adaround: up or down, learned for all weights of a layer together."""

from __future__ import annotations

import numpy as np
import torch

from mico_runner.quant.rounding import register
from mico_runner.quant.rounding.base import Problem, Rounding
from mico_runner.quant.weights import weight_range

ITERATIONS, LR = 1000, 0.05
FREE = 0.2  # of the iterations, before values are pushed to 0 or 1
PUSH = 0.01  # weight of that push beside the layer's relative error
SHARPEST, SOFTEST = 2.0, 20.0  # exponents of the push, the latter first
LOW, HIGH = -0.1, 1.1  # of the stretched sigmoid, which reaches 0 and 1
DECIDED = 1e-3
TINY = 1e-30


@register("adaround")
class AdaRound(Rounding):
    """Each weight goes to one of its two neighbours, chosen by gradients of the layer's output error.

    Nagel et al., "Up or Down? Adaptive Rounding for Post-Training Quantization", ICML 2020, on the error as a quadratic form instead of
    on batches of samples: it needs no data beyond `Problem.times`. It ends as soon as every weight is decided.
    """

    def layer(self, problem: Problem, scales: np.ndarray, bits: float) -> np.ndarray:
        low, high = (-1, 1) if bits == 1 else weight_range(bits)
        width = 2 if bits == 1 else 1  # the two neighbours of a sign are both signs
        used = np.where(scales > 0, scales, 1.0)[:, None]
        real = problem.rows / used
        floor = np.full_like(real, low) if bits == 1 else np.clip(np.floor(real), low, high - 1)
        share = np.clip((real - floor) / width, 0.01, 0.99)
        start = np.log((share - LOW) / (HIGH - share))
        size = np.maximum((problem.times(problem.rows) * problem.rows).sum(1, keepdims=True), TINY)
        chosen = torch.from_numpy(start).requires_grad_()
        optimiser = torch.optim.Adam([chosen], lr=LR)
        for i in range(ITERATIONS):
            up = (torch.sigmoid(chosen) * (HIGH - LOW) + LOW).clamp(0, 1)
            soft = up.detach().numpy()
            done = i / ITERATIONS
            if done > FREE and np.minimum(soft, 1 - soft).max() < DECIDED:
                break
            rest = problem.rows - (floor + width * soft) * used
            gradient = torch.from_numpy(-2 * width * used * problem.times(rest) / size)
            if done > FREE:
                sharp = SHARPEST + (SOFTEST - SHARPEST) * (1 - (done - FREE) / (1 - FREE))
                away = 2 * up.detach() - 1
                gradient -= PUSH / soft.shape[1] * 2 * sharp * away.abs() ** (sharp - 1) * away.sign()
            optimiser.zero_grad()
            up.backward(gradient)  # type: ignore[no-untyped-call]
            optimiser.step()
        return np.clip(floor + width * (chosen.detach().numpy() >= 0), low, high).astype(np.int8)
