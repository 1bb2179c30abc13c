"""The fast executor: the integers of `quant.reference`, computed by torch's float kernels (`ops.fast` says why that is exact).

- NNPACK, whose Winograd and FFT convolutions round, and reduced-precision products are switched off while running.
- max_pool(requantise(acc)) = requantise(max_pool(acc)), as requantisation never decreases. So pooling comes first, and fewer
  elements are requantised.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from mico_runner.graph.run import images_at_once
from mico_runner.ops import operator
from mico_runner.ops.fast import Kernel
from mico_runner.ops.weighted import Weighted
from mico_runner.quant.exits import answered
from mico_runner.quant.qgraph import QGraph, QNode
from mico_runner.quant.reference import check_inputs

BATCH_SIZE = 128  # of 8 .. 512 near the fastest, on LeNet and on ResNet-8


@dataclass
class Call:
    """One node, with a max-pool behind it that comes first; `dead` are the tensors that nothing reads after it."""

    node: QNode
    pool: QNode | None
    inputs: tuple[str, ...]
    output: str
    dead: list[str] = field(default_factory=list)


class Executor:
    """A `QGraph` made ready to run.

    >>> Executor(qgraph).run(quantize_input(qgraph, images))       # doctest: +SKIP
    """

    def __init__(self, qgraph: QGraph) -> None:
        self.qgraph = qgraph
        self._calls = calls(qgraph)
        self._kernels = [kernel_of(qgraph, call) for call in self._calls]

    def run(self, inputs: np.ndarray, batch_size: int | None = None) -> np.ndarray:
        """int32 outputs (N, ...), bit for bit those of `reference.run`, for integer inputs (N, *shape).

        Args:
            batch_size: images computed at once; by default as many as the size of the tensors suggests, up to BATCH_SIZE.

        Raises ValueError when an input is no integer of the input type.
        """
        given = {self.qgraph.input: inputs}
        found = dict(zip(self.qgraph.outputs, self.run_many(list(given.values()), batch_size), strict=True))
        return found[self.qgraph.output]

    def run_many(self, inputs: Sequence[np.ndarray], batch_size: int | None = None) -> list[np.ndarray]:
        """The same of a network with any number of inputs and outputs."""
        check_inputs(self.qgraph, inputs)
        tensors, count = self.qgraph.tensors, len(inputs[0])
        batch_size = batch_size or images_at_once((t.shape for t in tensors.values()), BATCH_SIZE)
        outputs = [np.empty((count, *tensors[tensor].shape), dtype=np.int32) for tensor in self.qgraph.answers]
        with torch.inference_mode(), true_float32():
            for start in range(0, count, batch_size):
                batch = slice(start, start + batch_size)
                made = self._forward([torch.from_numpy(x[batch].astype(np.float32)) for x in inputs])
                for output, values in zip(outputs, made, strict=True):
                    output[batch] = values.to(torch.int32).numpy()
        return answered(self.qgraph, outputs)

    def _forward(self, given: list[torch.Tensor]) -> list[torch.Tensor]:
        values = dict(zip(self.qgraph.inputs, given, strict=True))
        for call, kernel in zip(self._calls, self._kernels, strict=True):
            values[call.output] = kernel([values[t] for t in call.inputs])
            for tensor in call.dead:
                del values[tensor]
        return [values[tensor] for tensor in self.qgraph.answers]


@contextlib.contextmanager
def true_float32() -> Iterator[None]:
    """No rounding algorithms (NNPACK) and no bfloat16 or TF32 products, whatever the caller has allowed."""
    allowed = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.nnpack.flags(enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(allowed)


def calls(qgraph: QGraph) -> list[Call]:
    """What is computed, in order."""
    pools = _pools_after_weights(qgraph)
    behind = {pool.name for pool in pools.values()}
    found = []
    for node in qgraph.nodes:
        if node.name not in behind:
            pool = pools.get(node.name)
            found.append(Call(node, pool, node.inputs, node.output if pool is None else pool.output))
    seen = set(qgraph.answers)
    for call in reversed(found):
        call.dead += sorted(set(call.inputs) - seen)
        seen.update(call.inputs)
    return found


def _pools_after_weights(qgraph: QGraph) -> dict[str, QNode]:
    """Weighted node's name -> the max-pool that alone reads its output."""
    readers: dict[str, list[QNode]] = {}
    for node in qgraph.nodes:
        for tensor in node.inputs:
            readers.setdefault(tensor, []).append(node)
    found = {}
    for node in qgraph.nodes:
        follow = readers.get(node.output, [])
        if node.weight_bits is None or len(follow) != 1 or node.output in qgraph.answers:
            continue
        if operator(follow[0].op).SELECTS:
            found[node.name] = follow[0]
    return found


def kernel_of(qgraph: QGraph, call: Call) -> Kernel:
    """The call made ready."""
    node, pool = call.node, call.pool
    read, made = [qgraph.tensors[t].type for t in node.inputs], qgraph.tensors[node.output].type
    computed = operator(node.op)
    if pool is None or not isinstance(computed, Weighted):
        return computed.fast(node, read, made)
    return computed.fast_selected(node, read, made, operator(pool.op).fast(pool, [made], made))
