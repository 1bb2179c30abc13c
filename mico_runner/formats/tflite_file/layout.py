"""How the module holds the tensors of a file: dimensions in another order, images as (N, C, H, W).

A `Value` says which dimension of the file's tensor each dimension of the held one is, so that a transposition costs nothing and
elements move only where an operator needs another order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from mico_runner.formats.tflite_file.contents import Operator
from mico_runner.ops.capture import Refused

Order = tuple[int, ...]
IMAGE: Order = (0, 3, 1, 2)  # of the file's (N, H, W, C)


@dataclass(frozen=True)
class Value:
    """A tensor of the file: its shape there, and how it is held.

    Attributes:
        order: dimension i of the held tensor is dimension order[i] of the file's; the held one has the batch in front.
        constant: of one that is not computed, in the file's order.
    """

    shape: tuple[int, ...]
    order: Order
    constant: np.ndarray | None = None

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def held(self) -> tuple[int, ...]:
        """Its shape as it is held, for a batch of one."""
        return tuple(self.shape[d] for d in self.order)

    def axis(self, axis: int) -> int:
        """A dimension of the file's tensor, counted from the front. Raises Refused: there is none, or it is the batch."""
        if not -self.rank <= axis < self.rank:
            raise Refused(f"axis {axis} of a tensor of {self.rank} dimensions")
        if axis % self.rank == self.order[0]:
            raise Refused("it works over the batch, which is not supported")
        return axis % self.rank

    def dim(self, axis: int) -> int:
        """The dimension of the held tensor that is this one of the file's. Raises Refused as `axis`."""
        return self.order.index(self.axis(axis))


@dataclass(frozen=True)
class Made:
    """What an operator becomes.

    Attributes:
        function: from the held tensors that it reads and its `constants` by name, to the held tensor or a tuple of them.
        order: of every output.
        constants: tensors; "weight" and "bias" are parameters of the module.
    """

    function: Callable[..., torch.Tensor | tuple[torch.Tensor, ...]]
    order: Order
    constants: Mapping[str, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Use:
    """An operator with what it reads.

    Attributes:
        inputs: None for an optional one that is not given.
        made: shapes of its outputs in the file.
    """

    operator: Operator
    inputs: tuple[Value | None, ...]
    made: tuple[tuple[int, ...], ...]

    def value(self, i: int = 0) -> Value:
        """An input that is computed. Raises Refused."""
        found = self.inputs[i] if i < len(self.inputs) else None
        if found is None or found.constant is not None:
            raise Refused(f"its input {i} must be computed from the network's input")
        return found

    def constant(self, i: int) -> np.ndarray:
        """An input that is constant, in the file's order. Raises Refused."""
        found = self.inputs[i] if i < len(self.inputs) else None
        if found is None or found.constant is None:
            raise Refused(f"its input {i} must be a constant of the file")
        return found.constant

    def whole(self, i: int) -> list[int]:
        """Whole numbers of a constant input. Raises Refused."""
        return [int(n) for n in self.constant(i).ravel()]

    def given(self, i: int) -> bool:
        return i < len(self.inputs) and self.inputs[i] is not None

    def option(self, field: str) -> int:
        return int(self.operator.option(field))


Reader = Callable[[Use], Made]
READERS: dict[str, Reader] = {}


def reads(*kinds: str) -> Callable[[Reader], Reader]:
    """Register the function that makes torch calls of these operators of TFLite."""

    def register(reader: Reader) -> Reader:
        READERS.update(dict.fromkeys(kinds, reader))
        return reader

    return register


def natural(rank: int) -> Order:
    """The file's own order."""
    return tuple(range(rank))


def arranged(x: torch.Tensor, order: Order, wanted: Order) -> torch.Tensor:
    """A tensor that is held in one order, in another."""
    if order == wanted:
        return x
    return x.permute([order.index(d) for d in wanted])


def spread(x: np.ndarray, order: Order) -> torch.Tensor:
    """A constant of the file that is repeated over a value with these dimensions, in this order. Raises Refused."""
    wide = x.reshape((1,) * (len(order) - x.ndim) + x.shape).astype(np.float32)
    if wide.shape[order[0]] != 1:
        raise Refused("a constant differs between the samples of a batch")
    return torch.from_numpy(np.ascontiguousarray(wide.transpose(order)))


def without(order: Order, axes: Sequence[int]) -> Order:
    """The order of a tensor that has lost some of the file's dimensions."""
    kept = [d for d in order if d not in axes]
    return tuple(sorted(kept).index(d) for d in kept)


def gathered(x: torch.Tensor, dim: int, indices: Sequence[int]) -> torch.Tensor:
    """These elements of a dimension, by as few slices as they need: torch's own indexing is no slice for `capture`."""
    if list(indices) == list(range(x.shape[dim])):
        return x
    parts, start = [], 0
    while start < len(indices):
        stop = start + 1
        step = indices[stop] - indices[start] if stop < len(indices) else 1
        while step > 0 and stop < len(indices) and indices[stop] - indices[stop - 1] == step:
            stop += 1
        last = indices[stop - 1]
        parts.append(x[(slice(None),) * dim + (slice(indices[start], last + 1, max(step, 1)),)])
        start = stop
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)
