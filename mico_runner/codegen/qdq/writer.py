"""The QDQ model: every tensor of the integer graph is quantised and dequantised with its own scale, what lies between is in reals.

The integers are in int8, uint8 or, above 8 bits, 16: fewer bits are those of a wider type that are clipped to. Zero points are 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mico_runner.errors import StepError, StepSkipped
from mico_runner.ops import operator
from mico_runner.ops.base import Operator
from mico_runner.ops.onnx import scale_of
from mico_runner.quant.qgraph import INPUT_BITS, QGraph, QNode, QType, weights_of

OPSET = 21  # the first whose QuantizeLinear has 16 bits
IR_VERSION = 10  # of files with that opset
_NOISE = 2.0**-10  # of a step: a sum that is zero in integers may be that far below in float32


def model(graph: QGraph) -> bytes:
    """The file: float32 (N, ...), "input" to "output"; of several "input0", "input1", ... Raises as `codegen.qdq.write`."""
    lacking = sorted({node.op for node in graph.nodes if type(operator(node.op)).onnx is Operator.onnx})
    if lacking:
        where = {op: ", ".join(n.name for n in graph.nodes if n.op == op) for op in lacking}
        found = "; ".join(f"{op} ({names})" for op, names in where.items())
        raise StepError(
            f"{graph.name}: operators without a form in ONNX: {found}; give them an `onnx` method, or use target c"
        )
    return _Writer(graph).model()


class _Writer:
    """A model in the making: an `ops.onnx.OnnxGraph`."""

    def __init__(self, graph: QGraph) -> None:
        try:
            import onnx
        except ImportError as error:
            raise StepSkipped("a model of ONNX needs the package onnx: pip install 'mico-runner[onnx]'") from error
        self._onnx, self._graph = onnx, graph
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._prefix = ""
        self._real: dict[str, str] = {}  # tensor of the integer graph -> its dequantised values

    def model(self) -> bytes:
        helper, graph = self._onnx.helper, self._graph
        for name, tensor in _names(graph.inputs, "input").items():
            self._prefix, start = name, graph.tensors[tensor].type
            real = self._clipped(name, start)
            whole = start.bits > INPUT_BITS and not start.signed  # numbers of a vocabulary
            self._real[tensor] = real if whole else self._dequantised(real, start)
        for node in graph.nodes:
            self._prefix = node.name
            read = [graph.tensors[t].type for t in node.inputs]
            made = graph.tensors[node.output].type
            found = operator(node.op).onnx(self, node, [self._real[t] for t in node.inputs], read, made)
            if operator(node.op).KEEPS_TYPE:
                self._real[node.output] = self._dequantised(found, made)
            else:
                self._real[node.output] = self._dequantised(self._clipped(found, made, node.relu_max), made)
        for name, tensor in _names(graph.outputs, "output").items():
            self._nodes.append(helper.make_node("Identity", [self._real[tensor]], [name], name))
        float32 = self._onnx.TensorProto.FLOAT
        ends = [
            [
                helper.make_tensor_value_info(name, float32, ["N", *graph.tensors[tensor].shape])
                for name, tensor in _names(tensors, only).items()
            ]
            for tensors, only in ((graph.inputs, "input"), (graph.outputs, "output"))
        ]
        made_graph = helper.make_graph(self._nodes, graph.name, *ends, self._constants)
        opsets = [helper.make_opsetid("", OPSET)]
        found_model = helper.make_model(
            made_graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="mico-runner"
        )
        self._onnx.checker.check_model(found_model, full_check=True)
        data: bytes = found_model.SerializeToString(deterministic=True)
        return data

    def add(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        name = f"{self._prefix}/{kind}.{len(self._nodes)}"
        self._nodes.append(self._onnx.helper.make_node(kind, list(inputs), [name], name, **attributes))
        return name

    def constant(self, values: np.ndarray | float) -> str:
        name = f"{self._prefix}/{len(self._constants)}"
        array = np.array(values, order="C")
        array = array.astype(np.float32) if array.dtype == np.float64 else array
        self._constants.append(self._onnx.numpy_helper.from_array(array, name))
        return name

    def shape(self, tensor: str) -> tuple[int, ...]:
        return self._graph.tensors[tensor].shape

    def weights(self, node: QNode, read: QType, made: QType, transposed: bool = False) -> tuple[str, str]:
        weight, bias = weights_of(node)
        scale = np.broadcast_to(scale_of(node, read, made), (len(weight),))
        values = (weight.T if transposed else weight).astype(np.int8)
        axis = {"axis": values.ndim - 1 if transposed else 0}
        found = self.add("DequantizeLinear", [self.constant(values), self.constant(scale)], **axis)
        steps = [self.constant(bias.astype(np.int32)), self.constant(scale * read.scale)]
        return found, self.add("DequantizeLinear", steps, axis=0)

    def _clipped(self, real: str, made: QType, relu_max: int | None = None) -> str:
        """Real values within the limits of a type, where those of its storage are wider; the sign where that is all there is."""
        top = made.qmax if relu_max is None else min(made.qmax, relu_max)
        limits = np.iinfo(_storage(made))
        if made.is_sign:
            is_positive = self.add("GreaterOrEqual", [real, self.constant(-made.scale * _NOISE)])
            return self.add("Where", [is_positive, *(self.constant(s * made.scale) for s in (1, -1))])
        if (made.qmin, top) == (limits.min, limits.max):
            return real
        return self.add("Clip", [real, *(self.constant(q * made.scale) for q in (made.qmin, top))])

    def _dequantised(self, real: str, made: QType) -> str:
        """Real values rounded to the integers of a type."""
        steps = [self.constant(made.scale), self.constant(np.zeros((), _storage(made)))]
        return self.add("DequantizeLinear", [self.add("QuantizeLinear", [real, *steps]), *steps])


def _names(tensors: tuple[str, ...], only: str) -> dict[str, str]:
    """What the model calls inputs or outputs of the integer network: one has a name of its own, several are numbered."""
    if len(tensors) == 1:
        return {only: tensors[0]}
    return {f"{only}{i}": tensor for i, tensor in enumerate(tensors)}


def _storage(made: QType) -> np.dtype[Any]:
    return np.dtype(f"{'int' if made.signed else 'uint'}{8 if made.bits <= 8 else 16}")
