"""The same integers by torch's float kernels.

Why it is exact, although it computes in floating point:
- Sums of whole numbers are exact in float32 while every partial sum stays below 2^24, in float64 below 2^53. A layer's own weights
  bound its sums (`Sums`). Where the bound is too large for float32, parts of the inputs are summed in float32 and their sums in
  float64: float32 products are several times faster.
- Requantisation floor(acc * multiplier / 2^shift + 1/2) is done in float64: the product is below 2^53, hence exact; the scaling by a
  power of two is exact; adding 1/2 rounds only where the sum exceeds 2^53, which is then no less than half a step from an integer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from mico_runner.ops.node import QNode, QType, scaling_of, weights_of

FLOAT32_BITS = 24  # of whole numbers that float32 has
FLOAT32_EXACT = 1 << FLOAT32_BITS
MOST_WEIGHT = 2**7
CHUNK = 2**16  # elements requantised at once: of 2^13 .. 2^18 the fastest, as they stay in the cache from step to step

Kernel = Callable[[list[torch.Tensor]], torch.Tensor]  # whole numbers as floats -> whole numbers as floats


@dataclass(frozen=True)
class Sums:
    """How the products of a weighted node are added up exactly.

    Attributes:
        parts: of the inputs of each group (the second axis of the weight), each summed for itself.
        dtype: of each part's sums; those of several parts, and of a bias apart, are added in float64.
        bias_apart: the bias would not fit in.
    """

    parts: tuple[slice, ...]
    dtype: torch.dtype = torch.float32
    bias_apart: bool = False


def exact_sums(node: QNode, read: QType) -> Sums:
    """The fewest parts of equal size that are exact in float32; one in float64 where a single input has too many taps for it.

    No partial sum, in whatever order, exceeds the products of one sign and the bias together.
    """
    weight, bias = (torch.as_tensor(array) for array in weights_of(node))
    inputs, taps = weight.shape[1], weight[0, 0].numel()
    signs = [weight.clamp(min=0), weight.clamp(max=0)]

    def fits(part: slice, bias: int = 0) -> bool:
        above, below = (side[:, part].flatten(1).sum(1, dtype=torch.int64) for side in signs)
        ways = (above * q - below * p for q, p in ((read.qmax, -read.qmin), (-read.qmin, read.qmax)))
        return max(int(way.max()) for way in ways) + bias < FLOAT32_EXACT

    whole = slice(0, inputs)
    if fits(whole, int(bias.long().abs().max())):
        return Sums((whole,))
    if taps * MOST_WEIGHT * max(read.qmax, -read.qmin) >= FLOAT32_EXACT:
        return Sums((whole,), torch.float64)
    edges = ([inputs * i // count for i in range(count + 1)] for count in range(1, inputs + 1))
    split = (tuple(slice(*pair) for pair in pairwise(e)) for e in edges)
    return Sums(next(parts for parts in split if all(map(fits, parts))), bias_apart=True)


def requantiser(
    node: QNode, made: QType, channel_axis: int = 1, part: slice = slice(None)
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Whole numbers of any range -> whole numbers of the type, float32. `part` of the node's multipliers and shifts are used."""
    multiplier, shift = (array[part] for array in scaling_of(node))
    factor = torch.from_numpy(np.ldexp(multiplier.astype(np.float64), -shift.astype(np.int64)))
    clamp = clamper(made, node.relu_max)

    def requantise(acc: torch.Tensor) -> torch.Tensor:
        if channel_axis == 1 and len(factor) > 1:  # a row is one channel of one sample
            rows, factors = acc.reshape(len(acc) * len(factor), -1), factor.repeat(len(acc))[:, None]
        else:
            rows = acc.reshape(-1, len(factor))
            factors = factor.expand(len(rows), -1)
        found = torch.empty(rows.shape)
        for at in chunks(rows):
            clamp(rows[at].double().mul_(factors[at]), found[at])
        return found.reshape(acc.shape)

    return requantise


def chunks(rows: torch.Tensor) -> Iterator[slice]:
    """Runs of rows with about CHUNK elements each."""
    step = max(1, CHUNK // rows[0].numel())
    return (slice(start, start + step) for start in range(0, len(rows), step))


def clamper(qtype: QType, relu_max: int | None) -> Callable[[torch.Tensor, torch.Tensor], object]:
    """Writes floor(x + 1/2) within the type's range, the sign for signed 1 bit, to its second argument. Overwrites the first, float64."""
    if qtype.is_sign:
        return lambda x, found: found.copy_(x >= 0).mul_(2).sub_(1)
    low, high = qtype.qmin, qtype.qmax if relu_max is None else min(qtype.qmax, relu_max)
    return lambda x, found: found.copy_(x.add_(0.5).floor_()).clamp_(low, high)
