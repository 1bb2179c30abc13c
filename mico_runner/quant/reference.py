"""The integer reference: computes a `QGraph` in numpy, operator by operator, as `quant.qgraph` defines it.

Written to be obviously right; `quant.executor` is the fast one. Everything is int64.
"""

from __future__ import annotations

import math

import numpy as np

from mico_runner.ops import operator
from mico_runner.ops.arithmetic import to_integers
from mico_runner.quant.qgraph import QGraph

BATCH_ELEMENTS = 1 << 24  # of all tensors together, 128 MiB: more inputs are computed one batch after another


def quantize_input(qgraph: QGraph, images: np.ndarray) -> np.ndarray:
    """Real inputs (N, *shape) as the integers of the input tensor: uint8, or int8 when the type is signed."""
    qtype = qgraph.tensors[qgraph.input].type
    return to_integers(np.asarray(images, dtype=np.float64), qtype).astype(np.int8 if qtype.signed else np.uint8)


def dequantize_output(qgraph: QGraph, outputs: np.ndarray) -> np.ndarray:
    """Integer outputs as the real numbers that they stand for."""
    return np.asarray(outputs) * qgraph.tensors[qgraph.output].type.scale


def run(qgraph: QGraph, inputs: np.ndarray) -> np.ndarray:
    """int32 outputs (N, ...) for integer inputs (N, *shape). Raises ValueError when an input is no integer of the input type."""
    check_inputs(qgraph, inputs)
    one = sum(math.prod(tensor.shape) for tensor in qgraph.tensors.values())
    batch = max(1, BATCH_ELEMENTS // one)
    parts = [inputs[i : i + batch] for i in range(0, max(len(inputs), 1), batch)]
    return np.concatenate([trace(qgraph, part)[qgraph.output].astype(np.int32) for part in parts])


def trace(qgraph: QGraph, inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Every tensor of the network, int64, by name."""
    check_inputs(qgraph, inputs)
    values = {qgraph.input: np.asarray(inputs).astype(np.int64)}
    for node in qgraph.nodes:
        read = [qgraph.tensors[t].type for t in node.inputs]
        made = qgraph.tensors[node.output].type
        values[node.output] = operator(node.op).integer(node, [values[t] for t in node.inputs], read, made)
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
