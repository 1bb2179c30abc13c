"""Operators that move elements: an index says which input element each output element is."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from mico_runner.ops import c
from mico_runner.ops.base import Operator, Quantiser
from mico_runner.ops.fast import Kernel
from mico_runner.ops.node import Node, QNode, QType
from mico_runner.ops.onnx import OnnxGraph, whole

ZERO = -1  # in an index: no input element, but zero
LOOPS = 6  # of mico_move_t


class Movement(Operator):
    """A copy of elements, or zeros between them; the type does not change."""

    KEEPS_TYPE = True
    NO_KERNEL = "copies are not profiled"

    def sources(self, node: Node | QNode, shape: tuple[int, ...]) -> np.ndarray:
        """Index into the flattened input of this shape, int64, in the shape of the output; ZERO where there is none."""
        raise NotImplementedError

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        return _moved(x[0], torch.from_numpy(self.sources(node, tuple(x[0].shape[1:]))))

    def quantise(self, q: Quantiser, step: Any) -> None:
        q.pass_on(step, step.node.inputs[0])

    def integer(self, node: QNode, x: list[np.ndarray], read: list[QType], made: QType) -> np.ndarray:
        index = self.sources(node, x[0].shape[1:])
        return np.where(index == ZERO, 0, x[0].reshape(len(x[0]), -1)[:, index.clip(0)])

    def fast(self, node: QNode, read: list[QType], made: QType) -> Kernel:
        known: dict[tuple[int, ...], torch.Tensor] = {}

        def kernel(x: list[torch.Tensor]) -> torch.Tensor:
            shape = tuple(x[0].shape[1:])
            if shape not in known:
                known[shape] = torch.from_numpy(self.sources(node, shape))
            return _moved(x[0], known[shape])

        return kernel

    def lower(self, to: c.Lowerer, node: QNode) -> None:
        """Nested loops where the index is regular; else it is a table."""
        source, output = to.buffer_of(node.inputs[0]), to.target(node)
        place = c.memory_place(source.shape)
        index = self.sources(node, source.shape).ravel()[c.memory_order(output.shape)]
        index = np.where(index == ZERO, ZERO, place[index.clip(0)])
        fields: c.Fields = {"size": output.size, "input": source.tag, "output": output.tag}
        written = np.flatnonzero(index != ZERO)
        loops = nested(written, index[written])
        if loops is None:
            to.emit(node, "pick", [source], output, fields, tables={"index": index.astype(np.int32)})
            return
        first = {"zeros": int(len(written) < output.size), "to": int(written[0]), "from": int(index[written[0]])}
        loops += [(1, 0, 0)] * (LOOPS - len(loops))
        lists = dict(zip(("counts", "to_steps", "from_steps"), zip(*loops, strict=True), strict=True))
        to.emit(node, "move", [source], output, {**fields, **first, **lists})

    def onnx(self, to: OnnxGraph, node: QNode, x: list[str], read: list[QType], made: QType) -> str:
        """Picked from the flattened input by the index, to which a zero is added where there are any."""
        index = self.sources(node, to.shape(node.inputs[0]))
        flat = to.add("Flatten", x)
        if (index == ZERO).any():
            flat = to.add("Pad", [flat, to.constant(whole(0, 0, 0, 1))])
        size = int(np.prod(to.shape(node.inputs[0])))
        picked = to.add("Gather", [flat, to.constant(np.where(index == ZERO, size, index).ravel())], axis=1)
        return to.add("Reshape", [picked, to.constant(whole(-1, *index.shape))])


def nested(to: np.ndarray, source: np.ndarray) -> list[tuple[int, int, int]] | None:
    """Loops (count, step of `to`, step of `source`), innermost first, that visit these pairs in order; None: too many, or none do."""
    loops: list[tuple[int, int, int]] = []
    while len(to) > 1:
        steps = np.stack([np.diff(to), np.diff(source)])
        same = (steps == steps[:, :1]).all(0)
        count = 1 + int(len(same) if same.all() else same.argmin())
        if len(to) % count:
            return None
        rows = np.stack([to, source]).reshape(2, -1, count)
        if not (np.diff(rows, axis=2) == steps[:, :1, None]).all() or len(loops) == LOOPS:
            return None
        loops.append((count, int(steps[0, 0]), int(steps[1, 0])))
        to, source = rows[:, :, 0]
    return loops if len(to) else None


def _moved(x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    found = x.reshape(len(x), -1)[:, index.clamp(min=0)]
    return found.masked_fill(index == ZERO, 0)
