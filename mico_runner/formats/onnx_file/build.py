"""The operators of a model as a module; all that cannot be expressed is told at once."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch

from mico_runner.errors import UsageError
from mico_runner.formats.onnx_file.constants import RANDOM, can_compute
from mico_runner.formats.onnx_file.inputs import input_names
from mico_runner.formats.onnx_file.model_file import DEFAULT, name_of, opset
from mico_runner.formats.onnx_file.network import SHAPES, OnnxNetwork, OnnxNode, Signature
from mico_runner.formats.onnx_file.patterns import whole_functions
from mico_runner.formats.onnx_file.simplify import Operators, simplify
from mico_runner.formats.onnx_file.translation import translation_of

PAGE = "docs/reference/onnx.md"
SHOWN = 3  # names of nodes in a message

# What to do instead, by operator.
_ADVICE = {
    **dict.fromkeys(("Loop", "Scan"), "write the steps out before exporting: the number of steps must be fixed"),
    **dict.fromkeys(("If",), "its condition depends on the input; export the branch that is taken"),
    **dict.fromkeys(
        ("ArgMax", "ArgMin", "TopK", "Hardmax"),
        "leave it to the program that reads the scores: cut it off before exporting",
    ),
    **dict.fromkeys(
        ("NonMaxSuppression", "RoiAlign"), "leave it to the program that reads the boxes: cut it off before exporting"
    ),
    **dict.fromkeys(RANDOM, "it draws random numbers; export the network in eval mode"),
}


def build(model: Any, file: str) -> OnnxNetwork:
    """The module of a model. Raises UsageError: see `read`."""
    version = opset(model)
    found = whole_functions(simplify(model, file), [value.name for value in model.graph.output])
    shapes = _from_shapes(found)
    _refuse_unsupported(found, shapes, file)
    shared: dict[str, torch.nn.Parameter] = {}
    nodes, taken = [], set(dir(OnnxNetwork)) | {"constants", "order", "signature", "training"}
    for node in found.nodes:
        title = _title(name_of(node), taken)
        made = OnnxNode(node, title, file, version, translation_of(node))
        of_shapes = shapes.issuperset(node.output)
        for index, name in enumerate(node.input):
            if name in found.known:
                tensor = None if of_shapes else _parameter(name, found.known[name], shared)
                made.hold(index, found.known[name], tensor)
        nodes.append(made)
    signature = Signature(tuple(input_names(model.graph)), tuple(value.name for value in model.graph.output))
    for name in signature.outputs:
        if name in found.known:
            raise UsageError(f"{file}: its output {name!r} does not depend on its input")
    return OnnxNetwork(signature, nodes)


def _from_shapes(found: Operators) -> set[str]:
    """Values that are known once the shapes of the input are."""
    made: set[str] = set()
    for node in found.nodes:
        if node.op_type in SHAPES or (
            can_compute(node) and all(name in made or name in found.known for name in node.input if name)
        ):
            made |= set(node.output)
    return made


def _refuse_unsupported(found: Operators, shapes: set[str], file: str) -> None:
    """Raises UsageError that names all operators that are not supported, each once, with what to do."""
    nodes: dict[str, list[Any]] = {}
    for node in found.nodes:
        if not shapes.issuperset(node.output) and translation_of(node) is None:
            kind = node.op_type if node.domain in DEFAULT else f"{node.domain}.{node.op_type}"
            nodes.setdefault(kind, []).append(node)
    if not nodes:
        return
    lines = []
    for kind, of in nodes.items():
        names = ", ".join(repr(name_of(node)) for node in of[:SHOWN])
        more = f" and {len(of) - SHOWN} more" if len(of) > SHOWN else ""
        times = f" ({len(of)} times)" if len(of) > 1 else ""
        advice = _ADVICE.get(kind, "express it by supported operators, or leave it out of the exported network")
        lines.append(f"  {kind}{times}: node{'s' if len(of) > 1 else ''} {names}{more}: {advice}")
    count = sum(len(of) for of in nodes.values())
    head = f"{count} nodes have operators that are" if count > 1 else "one node has an operator that is"
    raise UsageError("\n".join([f"{file}: {head} not supported; {PAGE} lists those that are:", *lines]))


def _parameter(name: str, value: np.ndarray, shared: dict[str, torch.nn.Parameter]) -> torch.nn.Parameter | None:
    """The constant as a parameter, one for all nodes that read it; None for text."""
    if value.dtype.kind not in "fiubV" and not np.issubdtype(value.dtype, np.number):
        return None
    if name not in shared:
        data = np.ascontiguousarray(value.astype(np.float32)).reshape(value.shape)
        shared[name] = torch.nn.Parameter(torch.from_numpy(data.copy()), requires_grad=value.dtype.kind not in "iub")
    return shared[name]


def _title(name: str, taken: set[str]) -> str:
    """A name that a submodule can have: "/features/0/Conv" is "features_0_Conv"."""
    plain = re.sub(r"\W+", "_", name).strip("_") or "node"
    plain = f"node_{plain}" if plain[0].isdigit() else plain
    found, count = plain, 1
    while found in taken:
        count += 1
        found = f"{plain}_{count}"
    taken.add(found)
    return found
