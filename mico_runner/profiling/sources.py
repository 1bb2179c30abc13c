"""Which simulator gave the latencies: a hash of its Python as parsed, without comments, docstrings and layout."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from mico_runner import durable
from mico_runner.remembered import Remembered


def simulator_conditions(simulator: Path) -> dict[str, str]:
    """The hash of a simulator's file and of all modules of its folder that it imports."""
    home = simulator.parent
    due, found = {simulator.stem}, dict[str, str]()
    with Remembered("simulators.json", _how()) as memory:
        while due:
            name = due.pop()
            found[name], imported = memory(home / f"{name}.py", _read)
            due |= {stem for stem in imported if (home / f"{stem}.py").is_file()} - found.keys()
    content = [found[name] for name in sorted(found)]
    return {"simulator_sha256": hashlib.sha256(repr(content).encode()).hexdigest()}


def _read(path: Path) -> tuple[str, list[str]]:
    """Hash of what a file means, and what it imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return hashlib.sha256(repr(_meaning(tree)).encode()).hexdigest(), sorted(_imported(tree))


@cache
def _how() -> str:
    """What reads the files: when it changes, what was remembered of them is void."""
    return durable.sha256(Path(__file__))


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
