"""gather: elements by a number for each of them."""

from __future__ import annotations

from math import prod

import numpy as np
import torch

from mico_runner.ops import register
from mico_runner.ops.base import Operator
from mico_runner.ops.capture import Call, Refused
from mico_runner.ops.embed import rows_of
from mico_runner.ops.take import taken


@register("gather")
class Gather(Operator):
    """Constant numbers pick elements of the flattened tensor (`take`); computed ones read a constant row as an embedding does.

    No node of its own.
    """

    ATEN = ("gather.default",)
    NO_KERNEL = "it becomes take or embed"

    def capture(self, call: Call) -> str | torch.Tensor:
        call.broadcast()
        known, index = call.constant(call["self"]), call.constant(call["index"])
        if known is None and index is not None:
            return self._picked(call, call.tensor(call["self"]), index.astype(np.int64))
        if known is not None and index is None:
            return self._read(call, known)
        raise Refused("either the numbers or the elements must be constants")

    def _picked(self, call: Call, tensor: str, index: np.ndarray) -> str:
        axis, sizes = call.axis(call["dim"]), call.builder.shapes[tensor]
        if axis < 0 or len(sizes) != len(call.shape):
            raise Refused("choosing samples of the batch is not supported")
        places = list(np.indices(call.shape))
        places[axis] = np.broadcast_to(index, call.shape)
        flat = np.ravel_multi_index(places, sizes).ravel()
        return call.reshape(taken(call, call.reshape(tensor, (prod(sizes),)), 0, flat), call.shape)

    def _read(self, call: Call, known: np.ndarray) -> str | torch.Tensor:
        """One constant row for all."""
        numbers = call.tensor(call["index"])
        rows = known.reshape(-1, known.shape[-1]) if known.ndim else known.reshape(1, 1)
        if call["dim"] % len(call.sizes_read) != len(call.sizes_read) - 1 or (rows != rows[:1]).any():
            raise Refused("computed numbers choose from one constant row, in the last dimension")
        if (rows == rows[0, 0]).all():
            return torch.full(call.node.meta["val"].shape, rows[0, 0], dtype=call["self"].dtype)
        return call.reshape(rows_of(call, numbers, rows[0][:, None]), call.shape)
