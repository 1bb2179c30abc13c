"""The executor for many networks that are alike: what two of them compute alike at their beginning is computed once.

A neighbour in a search differs in the bits of a layer or two, so all tensors before them are the same integers. They are kept where a
single tensor holds all that the rest of the network needs (between residual blocks), in the narrowest integer type, within a limit of
memory; what was not used for the longest time is dropped first. What is the same is told by content: operator, attributes, constants
and types.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from mico_runner.graph.run import images_at_once
from mico_runner.ops import operator
from mico_runner.quant.executor import BATCH_SIZE, Call, calls, kernel_of, true_float32
from mico_runner.quant.qgraph import QGraph, QType

Key = tuple[bytes, int]  # of what a tensor holds, and the part of the samples


class Memory:
    """Tensors of integers by key, at most `limit` bytes together."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self._kept: OrderedDict[Key, np.ndarray] = OrderedDict()

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process begins with nothing."""
        return Memory, (self.limit,)

    def get(self, key: Key) -> np.ndarray | None:
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def put(self, key: Key, values: np.ndarray) -> None:
        """Keep the values, at the price of what was not used for the longest time; not at all where they alone are too large."""
        if key in self._kept or values.nbytes > self.limit:
            return
        self._kept[key] = values
        self.size += values.nbytes
        while self.size > self.limit:
            self.size -= self._kept.popitem(last=False)[1].nbytes


class PrefixExecutor:
    """A `QGraph` of one input and one output made ready to run, from the last tensor that a memory has."""

    def __init__(self, qgraph: QGraph, memory: Memory) -> None:
        self.qgraph, self._memory = qgraph, memory
        self._calls = calls(qgraph)
        self._keys = _keys(qgraph, self._calls)
        self._cuts = _cuts(qgraph, self._calls)
        self._kernels: dict[int, Callable[[list[torch.Tensor]], torch.Tensor]] = {}

    def run(self, part: int, count: int, inputs: Callable[[], np.ndarray]) -> np.ndarray:
        """int32 outputs (count, ...) of a part of the samples, bit for bit those of `Executor.run`.

        Args:
            part: its number: what is known of another part is not used.
            inputs: gives its integer inputs (count, *shape); not asked where the memory has what follows from them.
        """
        start, held = self._held(part)
        given = inputs() if held is None else held
        name = self.qgraph.input if held is None else self._calls[start - 1].output
        tensors = self.qgraph.tensors
        made = {
            i: np.empty((count, *tensors[o].shape), _narrowest(tensors[o].type))
            for i, o in self._cuts.items()
            if i >= start
        }
        output = np.empty((count, *tensors[self.qgraph.output].shape), dtype=np.int32)
        at_once = images_at_once((tensor.shape for tensor in tensors.values()), BATCH_SIZE)
        with torch.inference_mode(), true_float32():
            for first in range(0, count, at_once):
                batch = slice(first, first + at_once)
                values = {name: torch.from_numpy(given[batch].astype(np.float32))}
                for i in range(start, len(self._calls)):
                    self._compute(i, values)
                    if i in made:
                        made[i][batch] = values[self._calls[i].output].numpy()
                output[batch] = values[self.qgraph.output].to(torch.int32).numpy()
        for i, found in made.items():
            self._memory.put((self._keys[self._calls[i].output], part), found)
        return output

    def _held(self, part: int) -> tuple[int, np.ndarray | None]:
        """Where to go on, and the integers there; 0 and None at the beginning."""
        for i in reversed(self._cuts):
            held = self._memory.get((self._keys[self._calls[i].output], part))
            if held is not None:
                return i + 1, held
        return 0, None

    def _compute(self, i: int, values: dict[str, torch.Tensor]) -> None:
        call = self._calls[i]
        if i not in self._kernels:
            self._kernels[i] = kernel_of(self.qgraph, call)
        values[call.output] = self._kernels[i]([values[tensor] for tensor in call.inputs])
        for tensor in call.dead:
            del values[tensor]


def _cuts(qgraph: QGraph, program: list[Call]) -> dict[int, str]:
    """The calls after which their output is all that the rest needs, and that output; not those that compute nothing."""
    live = {qgraph.input}
    found = {}
    for i, call in enumerate(program[:-1]):
        live = (live | {call.output}) - set(call.dead)
        if live == {call.output} and not operator(call.node.op).VIEW:
            found[i] = call.output
    return found


def _keys(qgraph: QGraph, program: list[Call]) -> dict[str, bytes]:
    """A digest of what each tensor holds: of all that is computed before it."""
    found = {qgraph.input: hashlib.blake2b(repr(qgraph.tensors[qgraph.input].type).encode()).digest()}
    for call in program:
        digest = hashlib.blake2b()
        for node in (call.node, call.pool):
            if node is not None:
                digest.update(repr((node.op, sorted(node.attrs.items()), qgraph.tensors[node.output].type)).encode())
                _add(digest, node.constants)
                digest.update(repr((node.weight_bits, node.relu_max)).encode())
        for tensor in call.inputs:
            digest.update(found[tensor])
        found[call.output] = digest.digest()
    return found


def _add(digest: Any, constants: Mapping[str, np.ndarray]) -> None:
    for name, array in sorted(constants.items()):
        digest.update(repr((name, array.shape, array.dtype.str)).encode())
        digest.update(np.ascontiguousarray(array))


def _narrowest(kind: QType) -> np.dtype[Any]:
    """Of numpy's integer types the narrowest that holds all integers of a type."""
    return np.promote_types(np.min_scalar_type(kind.qmin), np.min_scalar_type(kind.qmax))
