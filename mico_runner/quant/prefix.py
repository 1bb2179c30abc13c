"""The executor for many networks that are alike: what two of them compute alike is computed once.

A neighbour in a search differs in the bits of a layer or two, so all tensors that do not depend on them are the same integers. Those are
kept that the change of one layer would leave as the last ones unchanged, in the narrowest integer type, within a limit of memory.
What is the same is told by content: operator, attributes, constants and types.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch

from mico_runner.graph.run import images_at_once
from mico_runner.quant.executor import BATCH_SIZE, Call, calls, kernel_of, true_float32
from mico_runner.quant.qgraph import QGraph, QType

Key = tuple[bytes, int]  # of what a tensor holds, and the part of the samples
STALE = 64  # networks after which a tensor that none of them had counts as no longer needed


@dataclass
class _Kept:
    """A tensor's integers, the last network that had it, and whether several had."""

    values: np.ndarray
    used: int
    shared: bool = False


class Memory:
    """Tensors of integers by key, at most `limit` bytes together.

    A search around one network makes many neighbours whose own tensors no other one has. So room is made at the price of, in this order:
    what no network had for long, the oldest first; what one network alone had, the newest first; the rest, the oldest first.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self._networks = 0
        self._kept: dict[Key, _Kept] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process begins with nothing."""
        return Memory, (self.limit,)

    def begin(self) -> None:
        """Another network follows."""
        self._networks += 1

    def get(self, key: Key) -> np.ndarray | None:
        kept = self._kept.get(key)
        if kept is None:
            return None
        kept.shared |= kept.used < self._networks
        kept.used = self._networks
        return kept.values

    def put(self, key: Key, values: np.ndarray) -> None:
        """Keep the values, unless those that are kept already are worth more."""
        if key in self._kept or values.nbytes > self.limit:
            return
        self._kept[key] = _Kept(values, self._networks)
        self.size += values.nbytes
        while self.size > self.limit:
            self.size -= self._kept.pop(min(self._kept, key=self._worth)).values.nbytes

    def _worth(self, key: Key) -> tuple[int, int]:
        kept = self._kept[key]
        if self._networks - kept.used > STALE:
            return 0, kept.used
        return (2, kept.used) if kept.shared else (1, -kept.used)


class PrefixExecutor:
    """A `QGraph` of one input and one output made ready to run, from the last tensors that a memory has."""

    def __init__(self, qgraph: QGraph, memory: Memory) -> None:
        self.qgraph, self._memory = qgraph, memory
        self._calls = calls(qgraph)
        self._keys = _keys(qgraph, self._calls)
        self._worth_keeping = _worth_keeping(qgraph, self._calls)
        self._kernels: dict[str, Callable[[list[torch.Tensor]], torch.Tensor]] = {}
        memory.begin()

    def run(self, part: int, count: int, inputs: Callable[[], np.ndarray]) -> np.ndarray:
        """int32 outputs (count, ...) of a part of the samples, bit for bit those of `Executor.run`.

        Args:
            part: its number: what is known of another part is not used.
            inputs: gives its integer inputs (count, *shape); not asked where the memory has what follows from them.
        """
        tensors, result = self.qgraph.tensors, self.qgraph.output
        held = {t: self._memory.get((self._keys[t], part)) for t in self._worth_keeping}
        given = {t: values for t, values in held.items() if values is not None}
        program = self._left(given)
        read = {t for call in program for t in call.inputs}
        if self.qgraph.input in read:
            given[self.qgraph.input] = inputs()
        made = self._room(program, count)
        output = np.empty((count, *tensors[result].shape), dtype=np.int32)
        at_once = images_at_once((tensor.shape for tensor in tensors.values()), BATCH_SIZE)
        last = {t: call.output for call in program for t in call.inputs}
        with torch.inference_mode(), true_float32():
            for first in range(0, count, at_once):
                batch = slice(first, first + at_once)
                values = {t: torch.from_numpy(given[t][batch].astype(np.float32)) for t in read & given.keys()}
                for call in program:
                    values[call.output] = self._kernel(call)([values[t] for t in call.inputs])
                    if call.output in made:
                        made[call.output][batch] = values[call.output].numpy()
                    for t in [t for t in set(call.inputs) if last[t] == call.output]:
                        del values[t]
                output[batch] = values[result].to(torch.int32).numpy()
        for t, found in made.items():
            self._memory.put((self._keys[t], part), found)
        return output

    def _room(self, program: list[Call], count: int) -> dict[str, np.ndarray]:
        """For the tensors to keep of so many samples, in order: of more than the memory holds the last ones, which save most."""
        found, left = list[tuple[str, np.ndarray]](), self._memory.limit
        for name in [call.output for call in reversed(program) if call.output in self._worth_keeping]:
            tensor = self.qgraph.tensors[name]
            kind = _narrowest(tensor.type)
            left -= count * prod(tensor.shape) * kind.itemsize
            if left < 0:
                break
            found.append((name, np.empty((count, *tensor.shape), kind)))
        return dict(reversed(found))

    def _left(self, given: Mapping[str, np.ndarray]) -> list[Call]:
        """The calls that are still to be computed, in order, where these tensors are known."""
        needed, found = {self.qgraph.output}, list[Call]()
        for call in reversed(self._calls):
            if call.output in needed:
                found.append(call)
                needed.update(t for t in call.inputs if t not in given)
        return found[::-1]

    def _kernel(self, call: Call) -> Callable[[list[torch.Tensor]], torch.Tensor]:
        if call.output not in self._kernels:
            self._kernels[call.output] = kernel_of(self.qgraph, call)
        return self._kernels[call.output]


def _worth_keeping(qgraph: QGraph, program: list[Call]) -> list[str]:
    """The tensors, in order, that some layer's change leaves as they are while what reads them changes.

    Instead of the output of a call that is cheap (no weights, one input that is no larger) its input is kept. The network's input and
    output are not.
    """
    maker, found = {call.output: call for call in program}, set[str]()
    for i, layer in enumerate(program):
        if layer.node.weight_bits is None:
            continue
        changed = {layer.output}
        for call in program[i:]:
            if call is layer or changed & set(call.inputs):
                changed.add(call.output)
                found |= {_source(qgraph, maker, t) for t in call.inputs if t not in changed}
    return [call.output for call in program if call.output in found - {qgraph.output}]


def _source(qgraph: QGraph, maker: Mapping[str, Call], tensor: str) -> str:
    """The tensor, or what it is cheaply made of."""
    while (call := maker.get(tensor)) and call.node.weight_bits is None and len(call.inputs) == 1:
        if prod(qgraph.tensors[call.inputs[0]].shape) > prod(qgraph.tensors[tensor].shape):
            break
        tensor = call.inputs[0]
    return tensor


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
