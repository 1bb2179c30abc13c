"""Which simulator gave the latencies: a hash of its Python as parsed, without comments, docstrings and layout."""

from __future__ import annotations

import ast
import hashlib
from pathlib import Path
from typing import Any


def simulator_conditions(simulator: Path) -> dict[str, str]:
    """The hash of a simulator's file and of all modules of its folder that it imports."""
    home = simulator.parent
    due, found = {simulator.stem}, {}
    while due:
        name = due.pop()
        found[name] = ast.parse((home / f"{name}.py").read_text(encoding="utf-8"))
        due |= {stem for stem in _imported(found[name]) if (home / f"{stem}.py").is_file()} - found.keys()
    content = [_meaning(found[name]) for name in sorted(found)]
    return {"simulator_sha256": hashlib.sha256(repr(content).encode()).hexdigest()}


def _imported(tree: ast.Module) -> set[str]:
    """Last names of the modules that are imported, and the names that are imported from them."""
    froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in froms if node.module} | {alias.name for node in froms for alias in node.names}
    return {name.rpartition(".")[2] for name in names}


def _meaning(value: Any) -> Any:
    """A syntax tree as nested tuples, the same under every version of Python: absent and empty fields are left out."""
    if isinstance(value, list):
        return tuple(map(_meaning, value))
    if not isinstance(value, ast.AST):
        return value
    fields = dict(ast.iter_fields(value))
    if (
        isinstance(value, ast.Module | ast.ClassDef | ast.FunctionDef)
        and ast.get_docstring(value, clean=False) is not None
    ):
        fields["body"] = fields["body"][1:]
    kept = {name: _meaning(field) for name, field in fields.items() if field not in (None, [])}
    return (type(value).__name__, tuple(kept.items()))
