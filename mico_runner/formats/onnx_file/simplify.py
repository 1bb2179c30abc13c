"""The operators of a model that depend on its input; all others are computed, int8 ones are dequantised."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mico_runner.errors import UsageError
from mico_runner.formats.onnx_file.constants import can_compute, compute
from mico_runner.formats.onnx_file.dequantise import Dequantiser
from mico_runner.formats.onnx_file.model_file import array, describe, opset


@dataclass
class Operators:
    """What is left of a model.

    Attributes:
        nodes: `NodeProto`s in order.
        known: values that depend on no input, by name.
    """

    nodes: list[Any] = field(default_factory=list)
    known: dict[str, np.ndarray] = field(default_factory=dict)


def simplify(model: Any, file: str) -> Operators:
    """Raises UsageError: a constant cannot be computed, or an `If` depends on the input."""
    found, version = Operators(), opset(model)
    _add_initialisers(model.graph, found.known, file)
    dequantiser = Dequantiser(found.known, file)
    due = deque(model.graph.node)
    while due:
        node = due.popleft()
        try:
            due.extendleft(reversed(_step(node, found, dequantiser, version, file)))
        except UsageError:
            raise
        except Exception as error:  # of a damaged node: too few inputs, constants of another shape
            raise UsageError(f"{file}: {describe(node)}: {str(error) or type(error).__name__}") from error
    return _needed(found, [value.name for value in model.graph.output])


def _step(node: Any, found: Operators, dequantiser: Dequantiser, version: int, file: str) -> list[Any]:
    """Compute a node, or keep it, or return those that stand for it."""
    if node.op_type == "If" and node.input and node.input[0] in found.known:
        return _branch(node, found.known, file)
    if (instead := dequantiser.instead_of(node)) is not None:
        return instead
    if all(name in found.known for name in node.input if name) and can_compute(node):
        inputs = [found.known.get(name) for name in node.input]
        values = compute(node, inputs, version, f"{file}: {describe(node)}")
        found.known.update(zip(node.output, values, strict=False))
    else:
        dequantiser.note(node)
        found.nodes.append(node)
    return []


def _add_initialisers(graph: Any, known: dict[str, np.ndarray], file: str) -> None:
    if graph.sparse_initializer:
        raise UsageError(
            f"{file}: initialiser {graph.sparse_initializer[0].values.name!r} is sparse; allowed: dense ones"
        )
    for tensor in graph.initializer:
        known[tensor.name] = array(tensor, file)


def _branch(node: Any, known: dict[str, np.ndarray], file: str) -> list[Any]:
    """The nodes of the branch that a constant condition chooses; what it makes bears the node's own names in front."""
    chosen = "then_branch" if known[node.input[0]].any() else "else_branch"
    graph = next((a.g for a in node.attribute if a.name == chosen), None)
    if graph is None or len(graph.output) != len(node.output):
        raise UsageError(f"{file}: {describe(node)}: it has no {chosen} with {len(node.output)} outputs")
    own: dict[str, np.ndarray] = {}
    _add_initialisers(graph, own, file)
    made = {*own, *(name for inner in graph.node for name in inner.output if name)}
    renamed = {name: f"{node.output[0]}/{name}" for name in made}
    known.update({renamed[name]: value for name, value in own.items()})
    nodes = [_renamed(inner, renamed) for inner in graph.node]
    for inside, outside in zip(graph.output, node.output, strict=True):
        last = type(node)(op_type="Identity", input=[renamed.get(inside.name, inside.name)], output=[outside])
        nodes.append(last)
    return nodes


def _renamed(node: Any, names: dict[str, str]) -> Any:
    copy = type(node)()
    copy.CopyFrom(node)
    copy.input[:] = [names.get(name, name) for name in node.input]
    copy.output[:] = [names.get(name, name) for name in node.output]
    for attribute in copy.attribute:
        if attribute.HasField("g"):
            for i, inner in enumerate(attribute.g.node):
                attribute.g.node[i].CopyFrom(_renamed(inner, names))
    return copy


def _without_unread(node: Any, needed: set[str]) -> Any:
    """The node with "" for outputs that nothing reads, as the masks of dropout."""
    if needed.issuperset(node.output):
        return node
    copy = type(node)()
    copy.CopyFrom(node)
    copy.output[:] = [name if name in needed else "" for name in node.output]
    return copy


def _needed(found: Operators, outputs: list[str]) -> Operators:
    """Without operators and constants that no output needs."""
    needed, nodes = set(outputs), []
    for node in reversed(found.nodes):
        if needed & set(node.output):
            nodes.append(_without_unread(node, needed))
            needed |= set(node.input)
    return Operators(nodes[::-1], {name: value for name, value in found.known.items() if name in needed})
