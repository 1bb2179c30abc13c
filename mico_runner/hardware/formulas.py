"""Arithmetic over the figures of a device, as an accelerator's file states it in text: `"rows * columns >= 2"`.

A formula is part of a description that is read and not run, so that it is evaluated by its syntax tree and can do nothing else.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping

from mico_runner.errors import UsageError

_OPERATORS: dict[type[ast.AST], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.Eq: operator.eq,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_FUNCTIONS: dict[str, Callable[..., float]] = {"max": max, "min": min}


def evaluate(formula: str, figures: Mapping[str, float]) -> float:
    """The formula's value; a comparison is True or False. Raises UsageError: it has no value."""
    try:
        return _value(ast.parse(formula, mode="eval").body, figures)
    except (SyntaxError, KeyError, TypeError, ArithmeticError) as error:
        raise UsageError(f"formula {formula!r} of an accelerator has no value: {error}") from None


def _value(node: ast.expr, figures: Mapping[str, float]) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.Name(id=name):
            return figures[name]
        case ast.BinOp(left=left, op=op, right=right) | ast.Compare(left=left, ops=[op], comparators=[right]):
            return _OPERATORS[type(op)](_value(left, figures), _value(right, figures))
        case ast.BoolOp(op=ast.Or(), values=values):
            return any(_value(value, figures) for value in values)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            return _FUNCTIONS[name](*(_value(argument, figures) for argument in arguments))
    raise TypeError(f"{ast.unparse(node)} is no arithmetic")
