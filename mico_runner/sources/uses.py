"""Which names a piece of Python reads, by the rules of its scopes: in a tree that was parsed, never imported."""

from __future__ import annotations

import ast
from collections.abc import Sequence

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_SCOPES = (*DEFINITIONS, ast.Lambda, *_COMPREHENSIONS)
_NAMED = (*DEFINITIONS, ast.ExceptHandler)
_OWN = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, *_COMPREHENSIONS)  # have variables of their own


def chains(node: ast.AST, bound: frozenset[str], found: set[str]) -> None:
    """Add the dotted names that are read below a node: "np.linalg.norm" once, not its beginnings.

    Those in annotations are left out, and those of a function's or comprehension's own variables, `bound`.
    """
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        if node.id not in bound and not isinstance(node.ctx, ast.Store):
            found.add(".".join([node.id, *reversed(parts)]))
        return
    inside = bound | _own_variables(node) if isinstance(node, _OWN) else bound
    for name in node._fields:
        if name in ("annotation", "returns"):
            continue
        value = getattr(node, name, None)
        within = bound if name in ("decorator_list", "args") else inside  # of a function: its defaults
        if isinstance(value, list):
            for child in value:
                if isinstance(child, ast.AST):
                    chains(child, within, found)
        elif isinstance(value, ast.AST):
            chains(value, within, found)


def _own_variables(node: ast.AST) -> frozenset[str]:
    """The variables of a function, lambda or comprehension; what it imports is not among them."""
    if isinstance(node, _COMPREHENSIONS):
        return _stored(node.generators)
    of = node.args
    given = [*of.posonlyargs, *of.args, *of.kwonlyargs, *filter(None, (of.vararg, of.kwarg))]
    return frozenset(arg.arg for arg in given) | _stored(node.body if isinstance(node.body, list) else [node.body])


def _stored(nodes: list[ast.AST]) -> frozenset[str]:
    """Names that are assigned in a scope, those in the scopes within it not."""
    names, outer, todo = set(), set(), list(nodes)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Global):
            outer |= set(node.names)
        elif isinstance(node, _NAMED):
            names.add(node.name)
        if not isinstance(node, _SCOPES):
            _children(node, todo)
    return frozenset(names - outer)


def below(nodes: Sequence[ast.AST]) -> list[ast.AST]:
    """The nodes and all below them (`ast.walk` takes twice as long, and every file of the package is read before its first run)."""
    found = list(nodes)
    for node in found:  # grows as it goes
        _children(node, found)
    return found


def _children(node: ast.AST, into: list[ast.AST]) -> None:
    for name in node._fields:
        value = getattr(node, name, None)
        if isinstance(value, ast.AST):
            into.append(value)
        elif isinstance(value, list):
            into += [item for item in value if isinstance(item, ast.AST)]
