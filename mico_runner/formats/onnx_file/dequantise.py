"""int8 files: weights and biases become floats, activations stay what they stand for.

A pair of QuantizeLinear and DequantizeLinear on an activation rounds and clamps; here it does neither, but for what clamping leaves of
a ReLU or ReLU6 that a converter has dropped: a type whose least integer stands for zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mico_runner.errors import UsageError
from mico_runner.formats.onnx_file.model_file import DEFAULT, describe, name_of, package

# Operators whose outputs are values, or means of values, of their first input.
_PASSES = frozenset(
    (
        *("MaxPool", "GlobalMaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Identity", "Dropout"),
        *("Slice", "Gather", "Split", "Concat", "DepthToSpace", "SpaceToDepth", "Expand", "Tile"),
    )
)
_MEANS = _PASSES | {"AveragePool", "GlobalAveragePool", "ReduceMean", "QuantizeLinear", "DequantizeLinear"}
_NOT_NEGATIVE = frozenset(("Relu", "Sigmoid", "HardSigmoid", "Softmax", "Abs", "Exp", "Softplus"))
_TWO = frozenset(("QLinearAdd", "QLinearMul"))  # of onnxruntime: both operands, each with its scale and zero point
# Of onnxruntime, with one operand, its scale and zero point; then those of the output.
_ONE = frozenset(
    ("QLinearGlobalAveragePool", "QLinearAveragePool", "QLinearSigmoid", "QLinearLeakyRelu", "QLinearSoftmax")
)

TRANSLATED_INT8 = frozenset(
    (
        *("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul"),
        *("ConvInteger", "MatMulInteger", "QGemm", "QLinearConcat", *_TWO, *_ONE),
    )
)

Scale = tuple[np.ndarray, np.ndarray]  # and zero point


class Dequantiser:
    """Replaces operators on integers by those on the values that these stand for."""

    def __init__(self, known: dict[str, np.ndarray], file: str) -> None:
        self._known = known
        self._file = file
        self._scales: dict[str, Scale] = {}  # of tensors whose integers are kept as the values that they stand for
        self._not_negative: set[str] = set()

    def instead_of(self, node: Any) -> list[Any] | None:
        """Nodes that compute what `node` stands for, None where it is none of int8 arithmetic. Raises UsageError."""
        kind = node.op_type
        made: dict[str, Callable[[Any], list[Any] | None]] = {
            "QuantizeLinear": self._quantize,
            "DequantizeLinear": self._dequantize,
            "DynamicQuantizeLinear": self._dynamic,
            "QLinearConv": self._conv,
            "QLinearMatMul": self._matmul,
            "ConvInteger": self._integer,
            "MatMulInteger": self._integer,
            "QGemm": self._gemm,
            "QLinearConcat": self._concat,
            **dict.fromkeys(_TWO, self._two),
            **dict.fromkeys(_ONE, self._one),
        }
        if kind not in made or node.domain not in (*DEFAULT, "com.microsoft"):
            return None
        return made[kind](node)

    def note(self, node: Any) -> None:
        """Remember what is known of the outputs of a node that stays."""
        for kinds, group in ((_PASSES, self._scales), (_MEANS, self._not_negative)):
            if node.op_type in kinds and all(name in group for name in self._computed(node)):
                if isinstance(group, dict):
                    group.update(dict.fromkeys(node.output, group[node.input[0]]))
                else:
                    group.update(node.output)
        if node.op_type in _NOT_NEGATIVE:
            self._not_negative.update(node.output)

    def _computed(self, node: Any) -> list[str]:
        return [name for name in node.input if name and name not in self._known]

    def _value(self, node: Any, index: int) -> np.ndarray:
        """A constant input; 0 for one that is left out. Raises UsageError: it depends on the network's input."""
        name = node.input[index] if index < len(node.input) else ""
        if not name:
            return np.zeros((), np.float32)
        if name not in self._known:
            raise UsageError(
                f"{self._file}: {describe(node)}: its scales and zero points must be constants; {name!r} is not"
            )
        return self._known[name]

    def _quantize(self, node: Any) -> list[Any] | None:
        if node.input[0] in self._known:
            return None if node.domain in DEFAULT else [_of_onnx(node)]
        name, out = node.input[0], node.output[0]
        scale = self._value(node, 1).astype(np.float32)
        zero = self._value(node, 2) if len(node.input) > 2 else np.zeros((), np.uint8)
        self._scales[out] = (scale, zero)
        if zero.dtype.kind in "iu" and scale.size == 1 and (zero == np.iinfo(zero.dtype).min).all():
            top = float((np.iinfo(zero.dtype).max - zero.astype(np.float64)).max() * scale.max())
            six = np.isclose(top, 6.0, rtol=1e-6, atol=0)  # a float32 scale of 6 / 255
            if six or name not in self._not_negative:
                self._not_negative.add(out)
                limits = [self._constant(out, key, v) for key, v in (("low", 0.0), *((("high", 6.0),) if six else ()))]
                return [_node("Clip" if six else "Relu", [name, *(limits if six else [])], out, node)]
            self._not_negative.add(out)
        return [_node("Identity", [name], out, node)]

    def _dequantize(self, node: Any) -> list[Any] | None:
        name, out = node.input[0], node.output[0]
        if name in self._known:
            return None if node.domain in DEFAULT else [_of_onnx(node)]
        scale, zero = self._value(node, 1).astype(np.float32), self._value(node, 2)
        if name in self._scales:
            theirs = self._scales[name]
            if not (np.allclose(theirs[0], scale) and np.array_equal(theirs[1].astype(int), zero.astype(int))):
                raise UsageError(
                    f"{self._file}: {describe(node)}: {name!r} was quantised with another scale or zero point"
                )
            return [_node("Identity", [name], out, node)]
        if scale.size > 1:
            axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
            raise UsageError(
                f"{self._file}: {describe(node)}: scales along axis {axis} of a computed tensor are not supported"
            )
        return [
            _node("Sub", [name, self._constant(out, "zero", zero.ravel()[0])], f"{out}/less", node),
            _node("Mul", [f"{out}/less", self._constant(out, "scale", scale.ravel()[0])], out, node),
        ]

    def _dynamic(self, node: Any) -> list[Any] | None:
        """Scale and zero point are chosen for each tensor; the values that they stand for are kept, with a scale of 1."""
        if node.input[0] in self._known:
            return None
        out, scale, zero = node.output
        self._known[scale], self._known[zero] = np.array(1.0, np.float32), np.zeros((), np.uint8)
        self._scales[out] = (self._known[scale], self._known[zero])
        return [_node("Identity", [node.input[0]], out, node)]

    def _operand(self, node: Any, first: int, axis: int | None = None) -> tuple[list[Any], str]:
        """Nodes for the values of an operand whose scale and zero point follow it."""
        name, out = node.input[first], f"{node.output[0]}/{first}"
        scale, zero = self._value(node, first + 1), self._value(node, first + 2)
        if scale.size == 1:
            scale, zero = scale.reshape(()), zero.reshape(-1)[0]
        zero = np.broadcast_to(zero, scale.shape)
        if name in self._known and axis is not None and scale.ndim == 1:
            shape = np.array(self._known[name].shape)
            shape[np.arange(len(shape)) != axis % len(shape)] = 1
            scale, zero = scale.reshape(shape), zero.reshape(shape)
        if name in self._known:
            self._known[out] = ((self._known[name].astype(np.float64) - zero) * scale).astype(np.float32)
            return [], out
        scales = [self._constant(out, "scale", scale), self._constant(out, "zero", zero, np.dtype(zero.dtype))]
        return [_node("DequantizeLinear", [name, *scales], out, node)], out

    def _output(self, node: Any, kind: str, inputs: list[str], scale: int, attributes: Any = None) -> list[Any]:
        """The node on values, and what quantising its output leaves of it."""
        whole = f"{node.output[0]}/whole"
        found = _node(kind, inputs, whole, node)
        found.attribute.extend(node.attribute if attributes is None else attributes)
        return [found, _node("QuantizeLinear", [whole, *node.input[scale : scale + 2]], node.output[0], node)]

    def _conv(self, node: Any) -> list[Any]:
        (x_nodes, x), (w_nodes, w) = self._operand(node, 0), self._operand(node, 3, axis=0)
        inputs = [x, w]
        if len(node.input) > 8 and node.input[8]:
            scales = self._value(node, 1).astype(np.float64) * self._value(node, 4).astype(np.float64)
            inputs.append(self._constant(node.output[0], "bias", self._value(node, 8) * scales))
        return [*x_nodes, *w_nodes, *self._output(node, "Conv", inputs, 6)]

    def _matmul(self, node: Any) -> list[Any]:
        (a_nodes, a), (b_nodes, b) = self._operand(node, 0, axis=-2), self._operand(node, 3, axis=-1)
        return [*a_nodes, *b_nodes, *self._output(node, "MatMul", [a, b], 6)]

    def _gemm(self, node: Any) -> list[Any]:
        """Of onnxruntime: A, B, C; the bias has the scale of the product."""
        transposed = any(a.name == "transB" and a.i for a in node.attribute)
        (a_nodes, a), (b_nodes, b) = self._operand(node, 0), self._operand(node, 3, axis=0 if transposed else 1)
        inputs = [a, b]
        if len(node.input) > 6 and node.input[6]:
            scales = self._value(node, 1).astype(np.float64) * self._value(node, 4).astype(np.float64)
            inputs.append(self._constant(node.output[0], "bias", self._value(node, 6) * scales))
        found = self._output(node, "Gemm", inputs, 7)
        if len(node.input) < 8 or not node.input[7]:  # its output stays a float
            found = [found[0], _node("Identity", list(found[0].output), node.output[0], node)]
        return [*a_nodes, *b_nodes, *found]

    def _two(self, node: Any) -> list[Any]:
        (a_nodes, a), (b_nodes, b) = self._operand(node, 0), self._operand(node, 3)
        return [*a_nodes, *b_nodes, *self._output(node, node.op_type.removeprefix("QLinear"), [a, b], 6)]

    def _one(self, node: Any) -> list[Any]:
        if any(a.name == "channels_last" and a.i for a in node.attribute):
            raise UsageError(f"{self._file}: {describe(node)}: channels in the last dimension are not supported")
        nodes, x = self._operand(node, 0)
        kept = [a for a in node.attribute if a.name not in ("channels_last", "opset")]
        return [*nodes, *self._output(node, node.op_type.removeprefix("QLinear"), [x], 3, kept)]

    def _concat(self, node: Any) -> list[Any]:
        """Of onnxruntime: scale and zero point of the output, then each operand."""
        operands = [self._operand(node, first) for first in range(2, len(node.input), 3)]
        nodes = [one for made, _ in operands for one in made]
        return [*nodes, *self._output(node, "Concat", [name for _, name in operands], 0)]

    def _integer(self, node: Any) -> list[Any]:
        """Sums of integers: zero points are subtracted first; of a tensor that is kept as values, the scale is taken out again."""
        nodes, operands, factor = [], [], 1.0
        for i in range(2):
            name, out = node.input[i], f"{node.output[0]}/{i}"
            zero = self._value(node, 2 + i).astype(np.float32)
            if name in self._scales:
                factor /= float(self._scales[name][0])
                operands.append(name)
                continue
            if zero.size > 1 and node.op_type == "ConvInteger":
                zero = zero.reshape(-1, 1, 1, 1)  # of each output channel
            elif zero.ndim == 1 and i == 0:
                zero = zero.reshape(-1, 1)  # of each row
            if name in self._known:
                self._known[out] = self._known[name].astype(np.float32) - zero
            else:
                nodes.append(_node("Sub", [name, self._constant(out, "zero", zero)], out, node))
            operands.append(out)
        product = _node(node.op_type.removesuffix("Integer"), operands, node.output[0], node)
        product.attribute.extend(node.attribute)
        if factor == 1.0:
            return [*nodes, product]
        product.output[0] = f"{node.output[0]}/whole"
        inputs = [product.output[0], self._constant(node.output[0], "factor", factor)]
        return [*nodes, product, _node("Mul", inputs, node.output[0], node)]

    def _constant(self, owner: str, key: str, value: Any, kind: Any = np.float32) -> str:
        name = f"{owner}/{key}"
        self._known[name] = np.asarray(value, kind)
        return name


def _node(kind: str, inputs: list[str], output: str, of: Any) -> Any:
    """A node in place of another one, whose name it bears."""
    return package().helper.make_node(kind, inputs, [output], name=name_of(of))


def _of_onnx(node: Any) -> Any:
    """onnxruntime's own operator of the same meaning, as ONNX's."""
    copy = type(node)()
    copy.CopyFrom(node)
    copy.domain = ""
    return copy
