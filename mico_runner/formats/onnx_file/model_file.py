"""An ONNX file as a checked model: parsed, its external data read, its functions inlined, every name defined before it is used."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from mico_runner.errors import UsageError

OLDEST_OPSET = 7  # broadcasting is implicit since then
MOST_NODES = 100_000  # after functions are inlined: a file of a few lines can call one function 2^40 times
DEFAULT = ("", "ai.onnx")  # two spellings of the domain of ONNX's own operators


def load(path: Path) -> Any:
    """The `ModelProto` of a file. Raises UsageError: see `read`."""
    onnx = package()
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: the ONNX file cannot be read: {error.strerror}") from error
    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's own, of no common class
        raise UsageError(f"{path.name}: this is no ONNX file, or it is damaged: {error}") from error
    if not model.graph.node:
        raise UsageError(f"{path.name}: this is no ONNX file, or it is cut off: there is no operator in it")
    _check_versions(model, path.name)
    for tensor in _tensors(model):
        _read_external(tensor, path)
    model = _inlined(model, path.name)
    _check_names(model.graph, path.name)
    return model


def package() -> Any:
    """The package `onnx`. Raises UsageError: it is not installed."""
    try:
        import onnx
        import onnx.external_data_helper
        import onnx.inliner
        import onnx.reference
    except ImportError as error:
        raise UsageError(
            f"reading ONNX files needs the package onnx ({error}); install it: pip install 'mico-runner[onnx]'"
        ) from error
    return onnx


def opset(model: Any) -> int:
    """Version of ONNX's own operators."""
    return int(next(entry.version for entry in model.opset_import if entry.domain in DEFAULT))


def array(tensor: Any, where: str) -> np.ndarray:
    """The values of a `TensorProto`. Raises UsageError: they do not fill its shape, or are no numbers."""
    try:
        found: np.ndarray = package().numpy_helper.to_array(tensor)
    except Exception as error:  # ValueError, TypeError, KeyError, by what is wrong
        raise UsageError(f"{where}: the values of {tensor.name!r} do not fit its type and shape: {error}") from error
    return found


def describe(node: Any) -> str:
    """ "node 'conv1' (Conv)", by the name of its output where it has none."""
    kind = node.op_type if node.domain in DEFAULT else f"{node.domain}.{node.op_type}"
    return f"node {name_of(node)!r} ({kind})"


def name_of(node: Any) -> str:
    """Its name, or that of its first output where it has none."""
    return str(node.name or next((name for name in node.output if name), ""))


@cache
def _newest_opset() -> int:
    return int(package().defs.onnx_opset_version())


def _check_versions(model: Any, file: str) -> None:
    versions = [entry.version for entry in model.opset_import if entry.domain in DEFAULT]
    if not versions:
        raise UsageError(f"{file}: it states no opset of ONNX's own operators; the file is cut off, or of another kind")
    if not OLDEST_OPSET <= versions[0] <= _newest_opset():
        raise UsageError(
            f"{file}: opset {versions[0]}; allowed: {OLDEST_OPSET} to {_newest_opset()}, the newest that the installed package onnx"
            " knows. `onnx.version_converter` makes newer files of older ones; a newer package reads newer ones"
        )
    newest = package().IR_VERSION
    if not 3 <= model.ir_version <= newest:
        raise UsageError(f"{file}: IR version {model.ir_version}; allowed: 3 to {newest}")


def _tensors(model: Any) -> Iterator[Any]:
    """Every tensor of a model, those of subgraphs and functions included."""
    due = [model.graph]
    nodes = [node for function in model.functions for node in function.node]
    while due or nodes:
        if due:
            graph = due.pop()
            yield from graph.initializer
            nodes += graph.node
            continue
        for attribute in nodes.pop().attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            due += [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]


def _read_external(tensor: Any, path: Path) -> None:
    """Take the values of a tensor that the file keeps in another file into it."""
    onnx = package()
    if tensor.data_location != onnx.TensorProto.EXTERNAL:
        return
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    folder = path.resolve().parent
    file = (folder / location).resolve()
    where = f"{path.name}: tensor {tensor.name!r}: its data file {location!r}"
    if not location or not file.is_relative_to(folder):
        raise UsageError(f"{where} lies outside of the folder of {path.name}; it must lie in it")
    try:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", -1))
        size = file.stat().st_size
        end = size if length < 0 else offset + length
        if not file.is_file() or not 0 <= offset <= end <= size:
            raise UsageError(f"{where} has {size} bytes; needed are {offset} to {end}")
        with file.open("rb") as stream:
            stream.seek(offset)
            tensor.raw_data = stream.read(end - offset)
    except OSError as error:
        raise UsageError(f"{where} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{where}: its place in it is no number: {error}") from error
    tensor.data_location = onnx.TensorProto.DEFAULT
    del tensor.external_data[:]


def _inlined(model: Any, file: str) -> Any:
    """The model without functions of its own."""
    if not model.functions:
        return model
    functions = {(f.domain, f.name): f for f in model.functions}
    size: dict[tuple[str, str], int] = {}
    active: set[tuple[str, str]] = set()

    def count(nodes: Any) -> int:
        """Nodes after inlining. Raises UsageError: a function calls itself."""
        total = 0
        for node in nodes:
            key = (node.domain, node.op_type)
            if key in active:
                raise UsageError(f"{file}: function {node.op_type!r} calls itself")
            if key in functions and key not in size:
                active.add(key)
                size[key] = count(functions[key].node)
                active.discard(key)
            total += size.get(key, 1)
            total += sum(count(a.g.node) for a in node.attribute if a.HasField("g"))
        return total

    if (total := count(model.graph.node)) > MOST_NODES:
        raise UsageError(f"{file}: {total} operators when its functions are written out; at most {MOST_NODES}")
    try:
        return package().inliner.inline_local_functions(model)
    except Exception as error:  # of the C++ library
        raise UsageError(f"{file}: its functions cannot be written out: {error}") from error


def _check_names(graph: Any, file: str) -> None:
    """Every value is made once, before it is used."""
    made = {value.name for value in (*graph.input, *graph.initializer)}
    made |= {sparse.values.name for sparse in graph.sparse_initializer}
    for node in graph.node:
        for name in node.input:
            if name and name not in made:
                raise UsageError(
                    f"{file}: {describe(node)}: its input {name!r} is neither an input or an initialiser of the network nor made by"
                    " an operator before it"
                )
        for name in node.output:
            if name and name in made:
                raise UsageError(f"{file}: {describe(node)}: its output {name!r} is made twice")
            made.add(name)
    for value in graph.output:
        if value.name not in made:
            raise UsageError(f"{file}: its output {value.name!r} is made by no operator")
    if not graph.output:
        raise UsageError(f"{file}: the network has no output; the file is cut off, or of another kind")
