"""Calls that a graph cannot have: where they stand in the user's source or file, and all of them at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from mico_runner.errors import UsageError
from mico_runner.formats.network import FileOperator
from mico_runner.graph.trace import Trace
from mico_runner.ops import by_aten
from mico_runner.ops.capture import BATCH, Builder

_SHOWN = 5  # further places of a call in a message


class Refusals:
    """What was refused so far. What follows from a refused call is not held against the network."""

    def __init__(self, traced: Trace) -> None:
        self._traced = traced
        self._found: list[tuple[torch.fx.Node, str]] = []
        self._doubtful: set[torch.fx.Node] = set()

    def stand_in(self, node: torch.fx.Node, builder: Builder, reason: str) -> Any:
        """Note why a call was refused; the value, of the right shape, with which capturing goes on."""
        follows = any(n in self._doubtful for n in self._before(node))
        if not follows or str(node.target) not in by_aten():
            self._found.append((node, reason))
        self._doubtful.add(node)
        value: Any = node.meta.get("val")
        many = isinstance(value, list | tuple)
        names = []
        for i, part in enumerate(value if many else [value]):
            name = f"{node.name}.{i}"
            shape = tuple(getattr(part, "shape", ()))
            builder.shapes[name] = shape[1:] if shape[:1] == (BATCH,) else shape
            names.append(name)
        return names if many else names[0]

    def raise_any(self) -> None:
        """Raises UsageError that names every refused call, the same operator and reason once, with the lines."""
        if not self._found:
            return
        if len(self._found) == 1:
            raise UsageError(located(self._found[0][0], self._traced, self._found[0][1]))
        groups: dict[tuple[str, str], list[torch.fx.Node]] = {}
        for node, reason in self._found:
            groups.setdefault((str(node.target), reason), []).append(node)
        lines = []
        for (_, reason), nodes in groups.items():
            more = self._more(nodes)
            lines.append(f"  {located(nodes[0], self._traced, reason)}{more}")
        count = f"{len(self._found)} calls cannot be expressed"
        raise UsageError("\n".join([f"network {self._traced.name!r}: {count}:", *lines]))

    def _more(self, nodes: list[torch.fx.Node]) -> str:
        """How often a call is made, and where besides the first time."""
        if len(nodes) == 1:
            return ""
        places = [place_of(node, self._traced) for node in nodes]
        others = [place for place in dict.fromkeys(places) if place and place != places[0]]
        also = f", also at {', '.join(others[:_SHOWN])}{', ...' if len(others) > _SHOWN else ''}" if others else ""
        return f" ({len(nodes)} times{also})"

    def _before(self, node: torch.fx.Node) -> set[torch.fx.Node]:
        """All calls that a call's value comes from."""
        due, found = list(node.all_input_nodes), set()
        while due:
            one = due.pop()
            if one not in found:
                found.add(one)
                due += one.all_input_nodes
        return found


def place_of(node: torch.fx.Node, traced: Trace) -> str:
    """The line of the user's source that makes a call, or the operator of the file that the network comes from; "" for neither."""
    operator = _file_operator(node, traced)
    return operator.place if operator is not None else source_of(node, traced)


def located(node: torch.fx.Node, traced: Trace, reason: str) -> str:
    """A message that begins with the line of the user's source, or with the operator of the file that the network comes from."""
    operator, place = _file_operator(node, traced), place_of(node, traced)
    if operator is not None:
        return f"{place}: {reason}"
    where = f"{place}: " if place else ""
    return f"{where}node {(path_of(node, traced) or node.name)!r} ({node.target}): {reason}"


def path_of(node: torch.fx.Node, traced: Trace) -> str:
    """Of the module that makes a call, or of the parameter that it uses; "" for neither."""
    return _module_path(node, traced) or _weight_path(node, traced.held)


def _module_path(node: torch.fx.Node, traced: Trace) -> str:
    """Dotted path of the torch.nn module, or the operator of a file, that made the call; "" for a call in the user's own forward."""
    path, kind = _caller(node)
    return path if kind.startswith("torch.nn.") or _file_operator(node, traced) is not None else ""


def _caller(node: torch.fx.Node) -> tuple[str, str]:
    """Dotted path and type of the innermost module that made the call."""
    stack = list(node.meta.get("nn_module_stack", {}).values())
    if not stack:
        return "", ""
    path, kind = stack[-1]
    return path, kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"


def _file_operator(node: torch.fx.Node, traced: Trace) -> FileOperator | None:
    """The operator of a file that made the call; None: the network is a user's own module."""
    path, _ = _caller(node)
    try:
        made = traced.module.get_submodule(path)
    except AttributeError:  # what torch calls a module that is called twice
        return None
    return made if isinstance(made, FileOperator) else None


def _weight_path(node: torch.fx.Node, held: dict[str, str]) -> str:
    """Path of the first parameter or buffer that a functional call uses, without ".weight" and the like; else ""."""
    names = [held[n.name] for n in node.all_input_nodes if n.name in held]
    if not names:
        return ""
    layer, _, kind = names[0].rpartition(".")
    return layer if layer and kind in ("weight", "bias", "running_mean") else names[0]


def source_of(node: torch.fx.Node, traced: Trace) -> str:
    """ "file.py:line" of the innermost frame outside torch, from the node's stack trace; the file that the network comes from."""
    if (operator := _file_operator(node, traced)) is not None:
        return operator.file
    trace = (node.meta.get("stack_trace") or "").splitlines()
    lines = [s.strip() for s in trace if s.strip().startswith('File "') and '"<' not in s]  # no code that torch made
    own = [s for s in lines if not s.startswith(f'File "{Path(torch.__file__).parent}')] or lines
    if not own:
        return ""
    path, line = own[-1].split('"')[1], own[-1].split("line ")[1].split(",")[0]
    return f"{Path(path).name}:{line}"
