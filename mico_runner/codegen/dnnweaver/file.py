"""The two files: dnnweaver.json says what there is, dnnweaver.bin holds the arrays, weights packed to their bits.

Images are NHWC and weights (Cout, kh, kw, Cin / groups), as DNNWeaver has them; every number of the integer graph is in the files, so that
what is read again is the same graph, equal in every integer.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from math import prod
from pathlib import Path

import numpy as np

from mico_runner.codegen.dnnweaver.rules import Entry
from mico_runner.codegen.packing import WORD, pack_rows, row_words, unpack_rows
from mico_runner.errors import UsageError
from mico_runner.ops import operator
from mico_runner.quant.qgraph import QGraph, QNode, QTensor, QType, storage_bits

FORMAT, VERSION = "mico-runner dnnweaver", 1
DESCRIPTION, ARRAYS = "dnnweaver.json", "dnnweaver.bin"
WEIGHT = "weight"
_WHOLE_TYPES = ("<i1", "<i2", "<i4", "<i8", "<u1", "<u2", "<u4", "<f8")


def write(graph: QGraph, folder: Path) -> int:
    """Write both files into a folder that exists; their bytes together."""
    blob = bytearray()
    content = {
        "format": FORMAT,
        "version": VERSION,
        "name": graph.name,
        "layout": "NHWC",
        "inputs": list(graph.inputs),
        "outputs": list(graph.outputs),
        "tensors": [_tensor(name, tensor) for name, tensor in graph.tensors.items()],
        "operators": [_operator(node, blob) for node in graph.nodes],
    }
    content |= {"arrays": ARRAYS, "bytes": len(blob), "sha256": hashlib.sha256(blob).hexdigest()}
    text = json.dumps(content, indent=1) + "\n"
    (folder / DESCRIPTION).write_text(text, encoding="utf-8")
    (folder / ARRAYS).write_bytes(blob)
    return len(text.encode()) + len(blob)


def _tensor(name: str, tensor: QTensor) -> Entry:
    kind, shape = tensor.type, list(tensor.shape)
    image = {"nhwc": [1, *shape[1:], shape[0]]} if len(shape) == 3 else {}
    type_name = f"{'INT' if kind.signed else 'UINT'}{kind.bits}"
    return {"name": name, "shape": shape, **image, "type": type_name, **dataclasses.asdict(kind)}


def _operator(node: QNode, blob: bytearray) -> Entry:
    entry: Entry = {
        "name": node.name,
        "type": operator(node.op).DNNWEAVER or node.op,
        "operator": node.op,
        "inputs": list(node.inputs),
        "output": node.output,
        "attributes": node.attrs,
        "weight_bits": node.weight_bits,
        "relu_max": node.relu_max,
        "constants": {},
    }
    named = node.constants | ({} if node.weight_scale is None else {"weight_scale": node.weight_scale})
    for name, values in named.items():
        if name == WEIGHT and node.weight_bits is not None:
            entry["constants"][name] = _packed(values, storage_bits(node.weight_bits), blob)
        else:
            entry["constants"][name] = _plain(values, blob)
    return entry


def _packed(weight: np.ndarray, bits: int, blob: bytearray) -> Entry:
    """Each output channel a row of whole 32-bit words, the last dimension of the row the input channels."""
    ordered = np.moveaxis(weight, 1, -1)
    words = pack_rows(ordered.reshape(len(ordered), -1), bits)
    return _placed(words.astype("<u4").tobytes(), blob) | {
        "shape": list(ordered.shape),
        "bits": bits,
        "dtype": str(weight.dtype),
    }


def _plain(values: np.ndarray, blob: bytearray) -> Entry:
    stored = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    kind = f"<{stored.dtype.kind}{stored.dtype.itemsize}"
    return _placed(stored.tobytes(), blob) | {"shape": list(values.shape), "dtype": kind}


def _placed(raw: bytes, blob: bytearray) -> Entry:
    blob += bytes(-len(blob) % 8)  # whatever is stored begins at a multiple of its size
    at = len(blob)
    blob += raw
    return {"at": at, "bytes": len(raw)}


def read(folder: Path) -> QGraph:
    """The integer graph that `write` wrote, equal in every integer.

    Raises UsageError: a file is missing, was changed, or is none that `write` wrote.
    """
    path, arrays = folder / DESCRIPTION, folder / ARRAYS
    try:
        content, blob = json.loads(path.read_text(encoding="utf-8")), arrays.read_bytes()
    except OSError as error:
        raise UsageError(f"{error.filename}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{path}: not a JSON file in UTF-8 ({str(error)[:100]})") from None
    about = (content.get("format"), content.get("version")) if isinstance(content, dict) else None
    if about != (FORMAT, VERSION):
        raise UsageError(f"{path}: found {about}; allowed: format {FORMAT!r}, version {VERSION}")
    if hashlib.sha256(blob).hexdigest() != content.get("sha256"):
        raise UsageError(f"{arrays}: has another sha256 than {path} says")
    try:
        tensors = {
            t["name"]: QTensor(tuple(t["shape"]), QType(int(t["bits"]), bool(t["signed"]), float(t["scale"])))
            for t in content["tensors"]
        }
        nodes = tuple(_node(entry, blob) for entry in content["operators"])
        found = QGraph(str(content["name"]), tuple(content["inputs"]), tuple(content["outputs"]), nodes, tensors)
        known = set(found.inputs)
        for node in nodes:
            operator(node.op)  # raises UnknownName
            if not set(node.inputs) <= known or not {*node.inputs, node.output} <= set(tensors):
                raise UsageError(f"{path}: operator {node.name!r} reads or makes a tensor that is not there")
            known.add(node.output)
        if not set(found.outputs) <= known:
            raise UsageError(f"{path}: no operator makes output {', '.join(sorted(set(found.outputs) - known))}")
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise UsageError(f"{path}: not what was written: {type(error).__name__}: {str(error)[:100]}") from None
    return found


def _node(entry: Entry, blob: bytes) -> QNode:
    constants = {name: _array(about, blob) for name, about in entry["constants"].items()}
    scale = constants.pop("weight_scale", None)
    attrs = {key: tuple(value) if isinstance(value, list) else value for key, value in entry["attributes"].items()}
    ends = (str(entry["name"]), str(entry["operator"]), tuple(entry["inputs"]), str(entry["output"]))
    return QNode(*ends, attrs, constants, entry["weight_bits"], scale, entry["relu_max"])


def _array(about: Entry, blob: bytes) -> np.ndarray:
    at, size, shape = about["at"], about["bytes"], tuple(about["shape"])
    raw = blob[at : at + size]
    if at < 0 or len(raw) != size:
        raise ValueError(f"{size} bytes at {at} of {len(blob)}")
    if "bits" not in about:
        if about["dtype"] not in _WHOLE_TYPES:
            raise ValueError(f"dtype {about['dtype']!r}")
        values = np.frombuffer(raw, about["dtype"]).reshape(shape)
        return values.astype(values.dtype.newbyteorder("="))
    taps = prod(shape[1:])
    words = np.frombuffer(raw, "<u4").reshape(shape[0], row_words(taps, about["bits"]))
    ordered = unpack_rows(words, taps, about["bits"]).reshape(shape)
    return np.ascontiguousarray(np.moveaxis(ordered, -1, 1)).astype(about["dtype"])


assert WORD == 32  # of the "<u4" above
