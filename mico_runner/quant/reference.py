"""The integer reference: computes a `QGraph` in numpy, operator by operator, as `quant.qgraph` defines it.

Written to be obviously right; `quant.executor` is the fast one. Everything is int64; matrix products are done in float64, which is
exact because accumulators stay below 2^31.
"""

from __future__ import annotations

import numpy as np

from mico_runner.quant.calibration import to_integers
from mico_runner.quant.qgraph import QGraph, QNode, QType, scaling_of, weights_of


def quantize_input(qgraph: QGraph, images: np.ndarray) -> np.ndarray:
    """Real inputs (N, *shape) as the integers of the input tensor: uint8, or int8 when the type is signed."""
    qtype = qgraph.tensors[qgraph.input].type
    return to_integers(np.asarray(images, dtype=np.float64), qtype).astype(np.int8 if qtype.signed else np.uint8)


def dequantize_output(qgraph: QGraph, outputs: np.ndarray) -> np.ndarray:
    """Integer outputs as the real numbers that they stand for."""
    return np.asarray(outputs) * qgraph.tensors[qgraph.output].type.scale


def run(qgraph: QGraph, inputs: np.ndarray) -> np.ndarray:
    """int32 outputs (N, ...) for integer inputs (N, *shape). Raises ValueError when an input is no integer of the input type."""
    return trace(qgraph, inputs)[qgraph.output].astype(np.int32)


def trace(qgraph: QGraph, inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Every tensor of the network, int64, by name."""
    check_inputs(qgraph, inputs)
    values = {qgraph.input: np.asarray(inputs).astype(np.int64)}
    for node in qgraph.nodes:
        values[node.output] = compute(qgraph, node, [values[t] for t in node.inputs])
    return values


def check_inputs(qgraph: QGraph, inputs: np.ndarray) -> None:
    start = qgraph.tensors[qgraph.input]
    inputs = np.asarray(inputs)
    if inputs.shape[1:] != start.shape or not np.issubdtype(inputs.dtype, np.integer):
        raise ValueError(
            f"{qgraph.name}: inputs must be integers (N, {start.shape}), found {inputs.dtype} {inputs.shape}"
        )
    if inputs.size and (inputs.min() < start.type.qmin or inputs.max() > start.type.qmax):
        raise ValueError(
            f"{qgraph.name}: inputs must be in {start.type.qmin}..{start.type.qmax}, found {inputs.min()}..{inputs.max()}"
        )


def compute(qgraph: QGraph, node: QNode, inputs: list[np.ndarray]) -> np.ndarray:
    """One node on int64 tensors (N, ...)."""
    x, qtype = inputs[0], qgraph.tensors[node.output].type
    match node.op:
        case "conv2d":
            return requantise(conv2d(node, x), node, qtype)
        case "linear":
            weight, bias = weights_of(node)
            acc: np.ndarray = x.astype(np.float64) @ weight.astype(np.float64).T
            return requantise(acc.astype(np.int64) + bias, node, qtype, channel_axis=-1)
        case "max_pool2d":
            windows = _windows(x, node.attrs["kernel"], node.attrs["stride"], node.attrs["padding"], fill=qtype.qmin)
            largest: np.ndarray = windows.max((4, 5))
            return largest
        case "avg_pool2d":
            windows = _windows(x, node.attrs["kernel"], node.attrs["stride"], node.attrs["padding"], fill=0)
            return requantise(windows.sum((4, 5)), node, qtype)
        case "add":
            multipliers, shifts = scaling_of(node)
            products = inputs[0] * int(multipliers[0]) + inputs[1] * int(multipliers[1])
            return _clamp(_shift(products, shifts[0]), products, qtype, node.relu_max)
        case "concat":
            parts = []
            for q, multiplier, shift in zip(inputs, *scaling_of(node), strict=True):
                parts.append(_clamp(_shift(q * int(multiplier), shift), q, qtype, node.relu_max))
            return np.concatenate(parts, axis=node.attrs["axis"] + 1)
        case "requant":
            return requantise(x, node, qtype)
        case "reshape":
            return x.reshape(len(x), *node.attrs["shape"])
    raise ValueError(f"node {node.name!r}: unknown operator {node.op!r}")


def conv2d(node: QNode, x: np.ndarray) -> np.ndarray:
    """int64 accumulators (N, Cout, Ho, Wo), bias included."""
    weight, bias = weights_of(node)
    groups, (out, per_group, kh, kw) = node.attrs["groups"], weight.shape
    windows = _windows(x, (kh, kw), node.attrs["stride"], node.attrs["padding"], 0, node.attrs["dilation"])
    n, _, ho, wo = windows.shape[:4]
    columns = windows.reshape(n, groups, per_group, ho, wo, kh, kw).transpose(0, 1, 2, 5, 6, 3, 4)
    columns = columns.reshape(n, groups, per_group * kh * kw, ho * wo).astype(np.float64)
    rows = weight.reshape(groups, out // groups, per_group * kh * kw).astype(np.float64)
    acc: np.ndarray = (rows @ columns).reshape(n, out, ho, wo).astype(np.int64) + bias.reshape(-1, 1, 1)
    return acc


def _windows(
    x: np.ndarray,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    fill: int,
    dilation: tuple[int, int] = (1, 1),
) -> np.ndarray:
    """(N, C, Ho, Wo, kh, kw): the inputs under the kernel at every output position, `fill` outside the input."""
    (ph, pw), (sh, sw), (dh, dw) = padding, stride, dilation
    x = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)), constant_values=fill)
    extent = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    windows: np.ndarray = np.lib.stride_tricks.sliding_window_view(x, extent, axis=(2, 3))
    strided: np.ndarray = windows[:, :, ::sh, ::sw, ::dh, ::dw]
    return strided


def requantise(acc: np.ndarray, node: QNode, qtype: QType, channel_axis: int = 1) -> np.ndarray:
    """Accumulators as integers of the output type; `multiplier` and `shift` lie along the channel axis or have length 1."""
    shape = [1] * acc.ndim
    shape[channel_axis] = -1
    multiplier, shift = (array.astype(np.int64).reshape(shape) for array in scaling_of(node))
    return _clamp(_shift(acc * multiplier, shift), acc, qtype, node.relu_max)


def _shift(product: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Division by 2^shift, rounding half up: an arithmetic shift of int64."""
    shift = np.asarray(shift, dtype=np.int64)
    rounded: np.ndarray = (product + (np.int64(1) << (shift - 1))) >> shift
    return rounded


def _clamp(r: np.ndarray, acc: np.ndarray, qtype: QType, relu_max: int | None) -> np.ndarray:
    if qtype.is_sign:
        return np.where(acc >= 0, 1, -1)
    clipped: np.ndarray = np.clip(r, qtype.qmin, qtype.qmax if relu_max is None else min(qtype.qmax, relu_max))
    return clipped
