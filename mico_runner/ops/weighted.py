"""What operators share that multiply: by weights, by factors of their inputs' scales, or one tensor by another."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import torch

from mico_runner.ops.arithmetic import multiplier_and_shift
from mico_runner.ops.base import Operator, Quantiser
from mico_runner.ops.fast import Kernel, exact_sums, requantiser
from mico_runner.ops.node import INPUT_BITS, OUTPUT_BITS, Node, QNode, QType


class Weighted(Operator):
    """A sum of products with weights, requantised; its bits can be chosen."""

    TAKES_RELU = True
    CHANNELS = 1  # axis of the output channels in (N, ...), each made by a row of the weights; 1 or -1

    def channel_axis(self, shape: tuple[int, ...]) -> int:
        """Axis of the output channels in a batch-less output of this shape."""
        return 0 if self.CHANNELS == 1 else len(shape) - 1

    def positions(self, shape: tuple[int, ...]) -> int:
        """Output positions in a batch-less output of this shape: each makes one value of every channel."""
        return prod(shape) // shape[self.channel_axis(shape)]

    def patches(self, node: Node, x: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """(rows, groups, K): what these output positions read, counted over the whole batch; K as in a row of the weights."""
        raise NotImplementedError

    def channels_read(self, node: Node) -> np.ndarray | None:
        """The channel that alone each output channel reads, int (Cout,); None where they read several."""
        return None

    def products(self, node: QNode, inputs: slice, bias: torch.Tensor | None, dtype: torch.dtype) -> Kernel:
        """Sums of products over these inputs of each group (second axis of the weight), computed in a float type."""
        raise NotImplementedError

    def quantise(self, q: Quantiser, step: Any) -> None:
        bits = q.bits(step.node)
        tensor = q.read(step.node.inputs[0], bits.activation)
        made = q.made(step)
        q.add(step, (tensor,), **q.weights(step, bits, q.type_of(tensor), made))

    def accumulators(self, node: QNode, read: QType) -> Kernel:
        """Bias and all products, exact in float32 or float64."""
        sums = exact_sums(node, read)
        bias = torch.from_numpy(node.constants["bias"].astype(np.float64))
        if not sums.bias_apart:
            return self.products(node, sums.parts[0], bias.to(sums.dtype), sums.dtype)
        parts = [self.products(node, part, None, sums.dtype) for part in sums.parts]

        def kernel(x: list[torch.Tensor]) -> torch.Tensor:
            acc = parts[0](x).double()
            for part in parts[1:]:
                acc.add_(part(x))
            return acc.add_(bias.reshape([-1] + [1] * (acc.ndim - 2)) if self.CHANNELS == 1 else bias)

        return kernel

    def fast(self, node: QNode, read: list[QType], made: QType) -> Kernel:
        accumulators, requant = self.accumulators(node, read[0]), requantiser(node, made, self.CHANNELS)
        return lambda x: requant(accumulators(x))

    def fast_selected(self, node: QNode, read: list[QType], made: QType, select: Kernel) -> Kernel:
        """The node with an operator that `SELECTS` behind it: fewer elements are requantised."""
        accumulators, requant = self.accumulators(node, read[0]), requantiser(node, made, self.CHANNELS)
        return lambda x: requant(select([accumulators(x)]))


class Rescaled(Operator):
    """Operators without weights whose inputs each have a multiplier and a shift to the output's scale."""

    def scaling(self, node: Node, factors: np.ndarray) -> dict[str, np.ndarray]:
        """Constants for `factors`: scale of each input / scale of the output."""
        return multiplier_and_shift(factors)

    def quantise(self, q: Quantiser, step: Any) -> None:
        inputs = tuple(q.read(tensor, OUTPUT_BITS if self.WIDE else INPUT_BITS) for tensor in step.node.inputs)
        made = q.made(step)
        factors = np.array([q.type_of(tensor).scale for tensor in inputs]) / made.scale
        q.add(step, inputs, constants=self.scaling(step.node, factors))


class Product(Operator):
    """A product of two computed tensors, requantised with one multiplier and shift."""

    TAKES_RELU = True
    NO_KERNEL = "products of tensors are not profiled"

    def quantise(self, q: Quantiser, step: Any) -> None:
        inputs = tuple(q.read(tensor, INPUT_BITS) for tensor in step.node.inputs)
        made = q.made(step)
        factor = q.type_of(inputs[0]).scale * q.type_of(inputs[1]).scale / made.scale
        q.add(step, inputs, constants=multiplier_and_shift(np.array([factor])))
