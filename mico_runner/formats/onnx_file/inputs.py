"""The inputs of an ONNX file: which they are, their shapes, and whether the file leaves the batch free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mico_runner.errors import UsageError
from mico_runner.formats.onnx_file.model_file import package


@dataclass(frozen=True)
class InputShape:
    """One input.

    Attributes:
        sizes: without the batch.
        free: the file leaves the batch open; else it has fixed it at 1.
        whole: it holds whole numbers of 32 or 64 bits, as tokens.
    """

    name: str
    sizes: tuple[int, ...]
    free: bool
    whole: bool = False


def input_names(graph: Any) -> list[str]:
    """Of what a user feeds: old files name initialisers as inputs, too."""
    held = {tensor.name for tensor in graph.initializer}
    return [value.name for value in graph.input if value.name not in held]


def input_shapes(model: Any, file: str, given: tuple[int, ...] | None) -> list[InputShape]:
    """In the order of the file. `given` stands for the open sizes of an only input. Raises UsageError."""
    names = input_names(model.graph)
    if not names:
        raise UsageError(f"{file}: the network takes no input")
    if given is not None and len(names) != 1:
        raise UsageError(f"{file}: an input shape was given, but the network has {len(names)} inputs: {names}")
    values = {value.name: value for value in model.graph.input}
    return [_shape(values[name], file, given) for name in names]


def _shape(value: Any, file: str, given: tuple[int, ...] | None) -> InputShape:
    types = package().TensorProto
    where = f"{file}: input {value.name!r}"
    tensor = value.type.tensor_type
    if not value.type.HasField("tensor_type"):
        raise UsageError(f"{where} is a {value.type.WhichOneof('value') or 'value without a type'}; allowed: tensors")
    allowed = (
        types.FLOAT,
        types.FLOAT16,
        types.BFLOAT16,
        types.DOUBLE,
        types.UINT8,
        types.INT8,
        types.UINT16,
        types.INT16,
    )
    whole = tensor.elem_type in (types.INT32, types.INT64)
    if tensor.elem_type not in allowed and not whole:
        known = {number: name.lower() for name, number in types.DataType.items()}
        kind = known.get(tensor.elem_type, str(tensor.elem_type))
        raise UsageError(
            f"{where} is of type {kind}; networks take floats, integers of 8 or 16 bits, which become floats, and whole numbers of 32"
            " or 64 bits for embeddings"
        )
    sizes = [d.dim_value if d.HasField("dim_value") else 0 for d in tensor.shape.dim]
    if not tensor.HasField("shape"):
        if given is None:
            raise UsageError(f"{where} has no shape in the file; name one: `input: [channels, height, width]`")
        return InputShape(value.name, tuple(given), True, whole)
    if sizes and sizes[0] > 1:
        raise UsageError(
            f"{where} has the shape {sizes}: the first dimension must be the batch, free or 1; export it so"
            " (torch: dynamic_shapes, or a sample of one)"
        )
    found = tuple(sizes[1:])
    if given is not None:
        if len(given) != len(found) or any(n not in (0, g) for n, g in zip(found, given, strict=True)):
            raise UsageError(
                f"{where} has the shape {_shown(tensor.shape)}; the input shape {list(given)} does not fit it"
            )
        found = tuple(given)
    if not found:
        raise UsageError(f"{where} has {len(sizes)} dimensions; it needs the batch and at least one more")
    if min(found) < 1:
        raise UsageError(
            f"{where} has the shape {_shown(tensor.shape)}: sizes behind the batch must be fixed; name them:"
            " `input: [channels, height, width]`"
        )
    return InputShape(value.name, found, sizes[0] < 1, whole)


def _shown(shape: Any) -> str:
    """The shape as the file has it, names of free dimensions included."""
    return str([d.dim_value if d.HasField("dim_value") else d.dim_param or "?" for d in shape.dim])
