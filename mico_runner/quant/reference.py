"""The integer reference: computes a `QGraph` in numpy, operator by operator, as `quant.qgraph` defines it.

Written to be obviously right; `quant.executor` is the fast one. Everything is int64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mico_runner.ops import operator
from mico_runner.ops.arithmetic import to_integers
from mico_runner.ops.c import input_dtype
from mico_runner.quant.exits import answered
from mico_runner.quant.qgraph import QGraph, QTensor

BATCH_ELEMENTS = 1 << 24  # of all tensors together, 128 MiB: more inputs are computed one batch after another


def quantize_input(qgraph: QGraph, images: np.ndarray) -> np.ndarray:
    """Real inputs (N, *shape) as the integers of the input tensor: uint8, or int8 when the type is signed; int16 of sound."""
    given = {qgraph.input: images}
    return quantize_inputs(qgraph, list(given.values()))[0]


def quantize_inputs(qgraph: QGraph, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The same of every input of a network, as it is stored (`ops.c.input_dtype`)."""
    found = []
    for name, real in zip(qgraph.inputs, inputs, strict=True):
        kind = qgraph.tensors[name].type
        found.append(to_integers(np.asarray(real, dtype=np.float64), kind).astype(input_dtype(kind)))
    return found


def dequantize_output(qgraph: QGraph, outputs: np.ndarray) -> np.ndarray:
    """Integer outputs as the real numbers that they stand for."""
    return np.asarray(outputs) * qgraph.tensors[qgraph.output].type.scale


def run(qgraph: QGraph, inputs: np.ndarray) -> np.ndarray:
    """int32 outputs (N, ...) for integer inputs (N, *shape). Raises ValueError when an input is no integer of the input type."""
    (output,) = run_many(qgraph, [np.asarray(inputs)])
    return output


def run_many(qgraph: QGraph, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The same of a network with any number of inputs and outputs."""
    one = sum(math.prod(tensor.shape) for tensor in qgraph.tensors.values())
    batch = max(1, BATCH_ELEMENTS // one)
    parts = []
    for start in range(0, max(len(inputs[0]), 1), batch):
        values = _computed(qgraph, [np.asarray(x)[start : start + batch] for x in inputs])
        parts.append(answered(qgraph, [values[tensor].astype(np.int32) for tensor in qgraph.answers]))
    return [np.concatenate(part) for part in zip(*parts, strict=True)]


def trace(qgraph: QGraph, inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Every tensor of the network, int64, by name."""
    given = {qgraph.input: inputs}
    return _computed(qgraph, list(given.values()))


def _computed(qgraph: QGraph, inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    check_inputs(qgraph, inputs)
    values = {name: np.asarray(x).astype(np.int64) for name, x in zip(qgraph.inputs, inputs, strict=True)}
    for node in qgraph.nodes:
        read = [qgraph.tensors[t].type for t in node.inputs]
        made = qgraph.tensors[node.output].type
        values[node.output] = operator(node.op).integer(node, [values[t] for t in node.inputs], read, made)
    return values


def check_inputs(qgraph: QGraph, inputs: Sequence[np.ndarray]) -> None:
    for name, given in zip(qgraph.inputs, inputs, strict=True):
        _check_input(qgraph, qgraph.tensors[name], np.asarray(given))


def _check_input(qgraph: QGraph, start: QTensor, inputs: np.ndarray) -> None:
    if inputs.shape[1:] != start.shape or not np.issubdtype(inputs.dtype, np.integer):
        raise ValueError(
            f"{qgraph.name}: inputs must be integers (N, {start.shape}), found {inputs.dtype} {inputs.shape}"
        )
    if inputs.size and (inputs.min() < start.type.qmin or inputs.max() > start.type.qmax):
        raise ValueError(
            f"{qgraph.name}: inputs must be in {start.type.qmin}..{start.type.qmax}, found {inputs.min()}..{inputs.max()}"
        )
