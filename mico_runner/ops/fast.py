"""The same integers by torch's float kernels.

Why it is exact, although it computes in floating point:
- Sums of whole numbers are exact in float32 while every partial sum stays below 2^24, in float64 below 2^53. Each layer's bound,
  max over channels of sum |w| * max |q| + |bias|, chooses the type (almost always float32).
- Requantisation floor(acc * multiplier / 2^shift + 1/2) is done in float64: the product is below 2^53, hence exact; the scaling by a
  power of two is exact; adding 1/2 rounds only where the sum exceeds 2^53, which is then no less than half a step from an integer.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from mico_runner.ops.node import QNode, QType, scaling_of, weights_of

FLOAT32_EXACT = 2**24

Kernel = Callable[[list[torch.Tensor]], torch.Tensor]  # whole numbers as floats -> whole numbers as floats


def exact_dtype(node: QNode, read: QType) -> torch.dtype:
    """In which a weighted node's sums are exact."""
    weight, bias = weights_of(node)
    sums = np.abs(weight.reshape(len(weight), -1).astype(np.int64)).sum(1)
    bound = int((sums * max(-read.qmin, read.qmax) + np.abs(bias.astype(np.int64))).max())
    return torch.float32 if bound < FLOAT32_EXACT else torch.float64


def requantiser(
    node: QNode, made: QType, channel_axis: int = 1, part: slice = slice(None)
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Whole numbers of any range -> whole numbers of the type, float32. `part` of the node's multipliers and shifts are used."""
    multiplier, shift = (array[part] for array in scaling_of(node))
    factor = torch.from_numpy(np.ldexp(multiplier.astype(np.float64), -shift.astype(np.int64)))
    clamp = clamper(made, node.relu_max)

    def requantise(acc: torch.Tensor) -> torch.Tensor:
        per_channel = factor.reshape([-1] + [1] * (acc.ndim - 2)) if channel_axis == 1 else factor
        return clamp(acc.double().mul_(per_channel))

    return requantise


def clamper(qtype: QType, relu_max: int | None) -> Callable[[torch.Tensor], torch.Tensor]:
    """floor(x + 1/2) within the type's range; the sign for signed 1 bit. Overwrites its float64 argument."""
    if qtype.is_sign:
        return lambda x: (x >= 0).float().mul_(2).sub_(1)
    low, high = qtype.qmin, qtype.qmax if relu_max is None else min(qtype.qmax, relu_max)
    return lambda x: x.add_(0.5).floor_().float().clamp_(low, high)
