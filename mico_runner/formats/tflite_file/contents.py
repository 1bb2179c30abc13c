"""What a TFLite file says, as plain values: operators, tensors, and constants as real numbers.

The library `tflite` reads flatbuffers without any check, so that a damaged file makes it raise anything: here that becomes one error.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from mico_runner.errors import UsageError

_MOST_ELEMENTS = 1 << 27  # of a tensor, 512 MiB of float32: larger ones occur in damaged files only
_MARK = b"TFL3"
_DTYPES = {
    **{"FLOAT32": np.float32, "FLOAT16": np.float16, "FLOAT64": np.float64, "BOOL": np.bool_},
    **{"INT8": np.int8, "UINT8": np.uint8, "INT16": np.int16, "INT32": np.int32, "INT64": np.int64},
}


@dataclass(frozen=True)
class Tensor:
    """A tensor of the file.

    Attributes:
        shape: in the file's order, the batch (1) included.
        kind: "FLOAT32", "INT8" and so on.
        constant: float32 values, dequantised where the tensor has a scale; those of whole numbers without a scale as they are stored;
            None for what is computed.
        has_scale: its integers stand for real numbers.
        is_dynamic: a dimension besides the batch is not fixed.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    constant: np.ndarray | None
    has_scale: bool
    is_dynamic: bool

    @property
    def is_real(self) -> bool:
        """It holds real numbers: as such, as integers with a scale, or as the bytes of an image."""
        return self.has_scale or self.kind.startswith("FLOAT") or self.kind == "UINT8"


@dataclass(frozen=True)
class Operator:
    """An operator of the file.

    Attributes:
        kind: name in TFLite's schema, as "CONV_2D".
        custom: what a custom operator is called; else "".
        inputs, outputs: indices of tensors; -1 for an optional one that is not given.
        options: the table of its options, read field by field; None without.
    """

    index: int
    kind: str
    custom: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any

    @property
    def name(self) -> str:
        """Unique in the file: "3_CONV_2D"."""
        return f"{self.index}_{self.kind}"

    def option(self, field: str) -> Any:
        """A field of its options, as "StrideW". Raises ValueError: the file has none of that name."""
        read = getattr(self.options, field, None)
        if read is None:
            raise ValueError(f"the file does not say its {field}")
        return read()


@dataclass(frozen=True)
class Contents:
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def parse(path: Path) -> Contents:
    """The first subgraph of a file, which is the network.

    Raises:
        UsageError: the file cannot be read, is no TFLite file, or is damaged: each index and length is compared with what is there.
    """
    schema = _schema()
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    if data[4:8] != _MARK:
        raise UsageError(f"{path}: is no TFLite file: bytes 4 to 8 are {data[4:8]!r}, allowed: {_MARK!r}")
    try:
        return _Parser(schema, data).contents()
    except Exception as error:  # the library raises whatever the bytes lead it to
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UsageError(f"{path}: the file is damaged or cut off: {reason}") from error


def _schema() -> ModuleType:
    try:
        import tflite
    except ImportError as error:
        raise UsageError(
            "a TFLite file needs the package 'tflite', which is not installed; pip install 'mico-runner[tflite]'"
        ) from error
    found: ModuleType = tflite
    return found


class _Parser:
    """Reads tables; whatever it raises says that the file is damaged."""

    def __init__(self, schema: ModuleType, data: bytes) -> None:
        self._schema, self._data = schema, data
        self._model = schema.Model.GetRootAs(data, 0)
        self._kinds = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
        self._types = {code: name for name, code in vars(schema.TensorType).items() if isinstance(code, int)}
        self._options = {code: name for name, code in vars(schema.BuiltinOptions).items() if isinstance(code, int)}

    def contents(self) -> Contents:
        if not self._count(self._model.SubgraphsLength()):
            raise ValueError("it holds no network")
        graph = self._model.Subgraphs(0)
        tensors = tuple(self._tensor(graph.Tensors(i)) for i in range(self._count(graph.TensorsLength())))
        count = self._count(graph.OperatorsLength())
        operators = tuple(self._operator(i, graph.Operators(i), len(tensors)) for i in range(count))
        inputs, outputs = (_indices(found, len(tensors)) for found in (graph.InputsAsNumpy(), graph.OutputsAsNumpy()))
        if not inputs or not outputs or -1 in inputs + outputs:
            raise ValueError("the network has no input or no output")
        _check_sequence(tensors, operators, inputs, outputs)
        return Contents(tensors, operators, inputs, outputs)

    def _count(self, length: int) -> int:
        """A number of tables, each of which takes four bytes at least."""
        if length > len(self._data) // 4:
            raise ValueError(f"a list of {length} entries in {len(self._data)} bytes")
        return length

    def _operator(self, index: int, found: Any, tensors: int) -> Operator:
        code = self._model.OperatorCodes(self._below(found.OpcodeIndex(), self._model.OperatorCodesLength()))
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())  # old files fill in the second alone
        kind = self._kinds.get(number, f"OPERATOR_{number}")
        custom = (code.CustomCode() or b"?").decode(errors="replace") if kind == "CUSTOM" else ""
        inputs, outputs = (_indices(some, tensors) for some in (found.InputsAsNumpy(), found.OutputsAsNumpy()))
        return Operator(index, kind, custom, inputs, outputs, self._options_of(found))

    def _options_of(self, found: Any) -> Any:
        table, name = found.BuiltinOptions(), self._options.get(found.BuiltinOptionsType(), "NONE")
        if table is None or name == "NONE":
            return None
        options = getattr(self._schema, name)()
        options.Init(table.Bytes, table.Pos)
        return options

    def _tensor(self, found: Any) -> Tensor:
        name = (found.Name() or b"").decode(errors="replace")
        shape = _whole(found.ShapeAsNumpy())
        if any(n < 0 for n in shape) or prod(shape) > _MOST_ELEMENTS:
            raise ValueError(f"tensor {name!r} has the shape {list(shape)}")
        kind = self._types.get(found.Type(), f"type {found.Type()}")
        scale, zero = self._quantisation(found, name, shape)
        raw = self._raw(found.Buffer())
        constant = None if raw is None else _real(_array(raw, kind, shape, name), scale, zero)
        if constant is not None and found.Sparsity() is not None:
            raise ValueError(f"tensor {name!r} is stored as a sparse one, which is not supported")
        signature = _whole(found.ShapeSignatureAsNumpy())
        return Tensor(name, shape, kind, constant, scale is not None, any(n < 0 for n in signature[1:]))

    def _quantisation(self, found: Any, name: str, shape: tuple[int, ...]) -> tuple[Any, Any]:
        """Scales and zero points in a shape that fits the tensor's; None, None without."""
        given = found.Quantization()
        if given is None or not given.ScaleLength():
            return None, None
        scale = np.array(given.ScaleAsNumpy(), np.float64)
        zero = np.array(given.ZeroPointAsNumpy(), np.int64) if given.ZeroPointLength() else np.zeros(1, np.int64)
        if len(scale) == 1:
            return scale[0], zero[0]
        axis = given.QuantizedDimension()
        if not 0 <= axis < len(shape) or len(scale) != shape[axis] or len(zero) not in (1, len(scale)):
            raise ValueError(f"tensor {name!r} of shape {list(shape)} has {len(scale)} scales for dimension {axis}")
        form = [1] * len(shape)
        form[axis] = -1
        return scale.reshape(form), (zero.reshape(form) if len(zero) > 1 else zero[0])

    def _raw(self, index: int) -> np.ndarray | None:
        """Bytes of a constant; None for the empty buffer of a computed tensor."""
        found = self._model.Buffers(self._below(index, self._model.BuffersLength()))
        if (start := found.Offset()) > 1:  # of a file of more than 2 GB, whose constants stand behind the tables
            end = start + found.Size()
            if end > len(self._data):
                raise ValueError(f"a constant ends at byte {end} of {len(self._data)}")
            return np.frombuffer(self._data, np.uint8, found.Size(), start)
        return np.array(found.DataAsNumpy(), np.uint8) if found.DataLength() else None

    def _below(self, index: int, count: int) -> int:
        if not 0 <= index < count:
            raise ValueError(f"entry {index} of a list of {count}")
        return index


def _whole(found: Any) -> tuple[int, ...]:
    """A vector of whole numbers; the library gives 0 for one that is missing."""
    return tuple(int(n) for n in found) if isinstance(found, np.ndarray) else ()


def _indices(found: Any, count: int) -> tuple[int, ...]:
    indices = _whole(found)
    if any(not -1 <= i < count for i in indices):
        raise ValueError(f"tensors {list(indices)} of {count}")
    return indices


def _array(raw: np.ndarray, kind: str, shape: tuple[int, ...], name: str) -> np.ndarray:
    if kind not in _DTYPES:
        raise ValueError(
            f"tensor {name!r} is a constant of {kind}, which is not supported; allowed: {', '.join(_DTYPES)}"
        )
    size = prod(shape) * np.dtype(_DTYPES[kind]).itemsize
    if len(raw) != size:
        raise ValueError(f"tensor {name!r} of shape {list(shape)} needs {size} bytes, found {len(raw)}")
    found: np.ndarray = raw.view(_DTYPES[kind]).reshape(shape)
    return found


def _real(found: np.ndarray, scale: Any, zero: Any) -> np.ndarray:
    if scale is not None and found.dtype.kind in "iu":
        return np.asarray((found.astype(np.float64) - zero) * scale).astype(np.float32)
    return found.astype(np.float32) if found.dtype.kind == "f" else found


def _check_sequence(
    tensors: tuple[Tensor, ...], operators: tuple[Operator, ...], inputs: tuple[int, ...], outputs: tuple[int, ...]
) -> None:
    """Every tensor that is read is a constant, an input or made before."""
    known = {-1, *inputs, *(i for i, tensor in enumerate(tensors) if tensor.constant is not None)}
    for operator in operators:
        if lacking := set(operator.inputs) - known:
            raise ValueError(f"operator {operator.name} reads tensor {min(lacking)}, which nothing has made")
        known.update(operator.outputs)
    if lacking := set(outputs) - known:
        raise ValueError(f"the output, tensor {min(lacking)}, is made by nothing")
