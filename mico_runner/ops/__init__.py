"""Operators: one operator, one file, with everything about it. Whatever iterates operators iterates this registry.

    operator("add").integer(node, inputs, made)     # what an integer node computes, in numpy
    by_aten()["aten.add.Tensor"]                    # which operator takes a call that torch.export found

An entry is a class on one of the bases of `ops.base`; its docstring is the definition of what it computes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mico_runner.errors import UsageError
from mico_runner.registry import Registry

if TYPE_CHECKING:
    from mico_runner.ops.base import Operator

OPERATORS = Registry("operator", __name__)
register = OPERATORS.register

_made: dict[type[Any], Operator] = {}


def operator(name: str) -> Operator:
    """The operator of a node. Raises `UnknownName`."""
    found = OPERATORS.get(name)
    if found not in _made:
        _made[found] = found()
        _made[found].name = name
    return _made[found]


def operators() -> list[Operator]:
    """All of them, by name; imports their files."""
    return [operator(name) for name in OPERATORS.names()]


def maker(family: str) -> Operator:
    """The operator that makes examples of a kernel family."""
    return next(entry for entry in operators() if family in entry.FAMILIES)


def by_aten() -> dict[str, Operator]:
    """The operator that takes each call, by the call's name as `torch.export` has it ("aten.add.Tensor", "mico.log_mel.default").

    Raises UsageError: two take the same call.
    """
    found: dict[str, Operator] = {}
    for entry in operators():
        for call in entry.ATEN:
            target = call if call.count(".") > 1 else f"aten.{call}"
            if (other := found.setdefault(target, entry)) is not entry:
                raise UsageError(f"operators {other.name!r} and {entry.name!r} both take the call {call}")
    return found
