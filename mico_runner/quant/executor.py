"""The fast executor: the integers of `quant.reference`, computed by torch's float kernels.

Why it is exact, although it computes in floating point:
- Sums of whole numbers are exact in float32 while every partial sum stays below 2^24, in float64 below 2^53. Each layer's bound,
  max over channels of sum |w| * max |q| + |bias|, chooses the type (almost always float32). NNPACK, whose Winograd and FFT
  convolutions round, and reduced-precision products are switched off while running.
- Requantisation floor(acc * multiplier / 2^shift + 1/2) is done in float64: the product is below 2^53, hence exact; the scaling by a
  power of two is exact; adding 1/2 rounds only where the sum exceeds 2^53, which is then no less than half a step from an integer.
- max_pool(requantise(acc)) = requantise(max_pool(acc)), as requantisation never decreases. So pooling comes first, and fewer
  elements are requantised.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F

from mico_runner.quant.qgraph import QGraph, QNode, QType, scaling_of, weights_of
from mico_runner.quant.reference import check_inputs

FLOAT32_EXACT = 2**24
BATCH_SIZE = 128  # of 8 .. 512 near the fastest, on LeNet and on ResNet-8

Kernel = Callable[[list[torch.Tensor]], torch.Tensor]  # whole numbers as float32 -> whole numbers as float32


class Executor:
    """A `QGraph` made ready to run.

    >>> Executor(qgraph).run(quantize_input(qgraph, images))       # doctest: +SKIP
    """

    def __init__(self, qgraph: QGraph) -> None:
        self.qgraph = qgraph
        self._program: list[tuple[Kernel, tuple[str, ...], str, list[str]]] = []
        pools = _pools_after_weights(qgraph)
        for node in qgraph.nodes:
            if node.name in {p.name for p in pools.values()}:
                continue
            pool = pools.get(node.name)
            output = node.output if pool is None else pool.output
            self._program.append((_kernel(qgraph, node, pool), node.inputs, output, []))
        _free_after_last_use(self._program, qgraph.output)

    def run(self, inputs: np.ndarray, batch_size: int = BATCH_SIZE) -> np.ndarray:
        """int32 outputs (N, ...), bit for bit those of `reference.run`, for integer inputs (N, *shape).

        Raises ValueError when an input is no integer of the input type.
        """
        check_inputs(self.qgraph, inputs)
        shape = self.qgraph.tensors[self.qgraph.output].shape
        outputs = np.empty((len(inputs), *shape), dtype=np.int32)
        with torch.inference_mode(), _true_float32():
            for start in range(0, len(inputs), batch_size):
                batch = torch.from_numpy(inputs[start : start + batch_size].astype(np.float32))
                outputs[start : start + batch_size] = self._forward(batch).to(torch.int32).numpy()
        return outputs

    def _forward(self, x: torch.Tensor) -> torch.Tensor:
        values = {self.qgraph.input: x}
        for kernel, inputs, output, dead in self._program:
            values[output] = kernel([values[t] for t in inputs])
            for tensor in dead:
                del values[tensor]
        return values[self.qgraph.output]


@contextlib.contextmanager
def _true_float32() -> Iterator[None]:
    """No rounding algorithms (NNPACK) and no bfloat16 or TF32 products, whatever the caller has allowed."""
    allowed = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.nnpack.flags(enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(allowed)


def _pools_after_weights(qgraph: QGraph) -> dict[str, QNode]:
    """Weighted node's name -> the max-pool that alone reads its output."""
    readers: dict[str, list[QNode]] = {}
    for node in qgraph.nodes:
        for tensor in node.inputs:
            readers.setdefault(tensor, []).append(node)
    found = {}
    for node in qgraph.nodes:
        follow = readers.get(node.output, [])
        if node.op == "conv2d" and len(follow) == 1 and follow[0].op == "max_pool2d" and node.output != qgraph.output:
            found[node.name] = follow[0]
    return found


def _free_after_last_use(program: list[tuple[Kernel, tuple[str, ...], str, list[str]]], output: str) -> None:
    seen = {output}
    for _, inputs, _, dead in reversed(program):
        dead += sorted(set(inputs) - seen)
        seen.update(inputs)


def _kernel(qgraph: QGraph, node: QNode, pool: QNode | None) -> Kernel:
    attrs, qtype = node.attrs, qgraph.tensors[node.output].type
    match node.op:
        case "conv2d" | "linear":
            return _weighted(qgraph, node, pool, qtype)
        case "max_pool2d":
            return lambda x: _max_pool(x[0], node)
        case "avg_pool2d":
            requantise = _requantiser(*scaling_of(node), node.relu_max, qtype, 1)
            window = (attrs["kernel"], attrs["stride"], attrs["padding"])
            return lambda x: requantise(F.avg_pool2d(x[0].double(), *window, divisor_override=1))
        case "add":
            multiplier, shift = scaling_of(node)
            first, second = (float(m) * 2.0 ** -int(shift[0]) for m in multiplier)
            clamp = _clamper(qtype, node.relu_max)
            return lambda x: clamp(x[0].double().mul_(first).add_(x[1].double().mul_(second)))
        case "concat":
            multiplier, shift = scaling_of(node)
            parts = [
                _requantiser(multiplier[i : i + 1], shift[i : i + 1], node.relu_max, qtype, 1)
                for i in range(len(node.inputs))
            ]
            return lambda x: torch.cat([part(q) for part, q in zip(parts, x, strict=True)], attrs["axis"] + 1)
        case "requant":
            requantise = _requantiser(*scaling_of(node), node.relu_max, qtype, 1)
            return lambda x: requantise(x[0])
        case "reshape":
            return lambda x: x[0].reshape(len(x[0]), *attrs["shape"])
    raise ValueError(f"node {node.name!r}: unknown operator {node.op!r}")


def _max_pool(x: torch.Tensor, node: QNode) -> torch.Tensor:
    """Maximum over rows, then over columns: on a CPU several times as fast as torch's max_pool2d, which also finds the indices."""
    (kh, kw), (sh, sw), (ph, pw) = (node.attrs[k] for k in ("kernel", "stride", "padding"))
    if ph or pw:
        x = F.pad(x, (pw, pw, ph, ph), value=-torch.inf)
    rows, columns = ((n - k) // s * s + 1 for n, k, s in zip(x.shape[2:], (kh, kw), (sh, sw), strict=True))
    x = functools.reduce(torch.maximum, [x[:, :, i : i + rows : sh] for i in range(kh)])
    return functools.reduce(torch.maximum, [x[..., j : j + columns : sw] for j in range(kw)])


def _weighted(qgraph: QGraph, node: QNode, pool: QNode | None, qtype: QType) -> Kernel:
    read = qgraph.tensors[node.inputs[0]].type
    integers, offsets = weights_of(node)
    sums = np.abs(integers.reshape(len(integers), -1).astype(np.int64)).sum(1)
    bound = int((sums * max(-read.qmin, read.qmax) + np.abs(offsets.astype(np.int64))).max())
    dtype = torch.float32 if bound < FLOAT32_EXACT else torch.float64
    weight, bias = torch.as_tensor(integers).to(dtype), torch.as_tensor(offsets).to(dtype)
    if node.op == "linear":
        requantise = _requantiser(*scaling_of(node), node.relu_max, qtype, -1)
        return lambda x: requantise(F.linear(x[0].to(dtype), weight, bias))
    a = node.attrs
    options = (a["stride"], a["padding"], a["dilation"], a["groups"])
    requantise = _requantiser(*scaling_of(node), node.relu_max, qtype, 1)
    if pool is None:
        return lambda x: requantise(F.conv2d(x[0].to(dtype), weight, bias, *options))
    return lambda x: requantise(_max_pool(F.conv2d(x[0].to(dtype), weight, bias, *options), pool))


def _requantiser(
    multiplier: np.ndarray, shift: np.ndarray, relu_max: int | None, qtype: QType, channel_axis: int
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Whole numbers of any range -> whole numbers of the type, float32."""
    factor = torch.from_numpy(np.ldexp(multiplier.astype(np.float64), -shift.astype(np.int64)))
    clamp = _clamper(qtype, relu_max)

    def requantise(acc: torch.Tensor) -> torch.Tensor:
        per_channel = factor.reshape([-1] + [1] * (acc.ndim - 2)) if channel_axis == 1 else factor
        return clamp(acc.double().mul_(per_channel))

    return requantise


def _clamper(qtype: QType, relu_max: int | None) -> Callable[[torch.Tensor], torch.Tensor]:
    """floor(x + 1/2) within the type's range; the sign for signed 1 bit. Overwrites its float64 argument."""
    if qtype.is_sign:
        return lambda x: (x >= 0).float().mul_(2).sub_(1)
    low, high = qtype.qmin, qtype.qmax if relu_max is None else min(qtype.qmax, relu_max)
    return lambda x: x.add_(0.5).floor_().float().clamp_(low, high)
