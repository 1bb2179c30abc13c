"""Imports inside functions count: they follow the layers of pyproject.toml, as those at the top of a file do."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import mico_runner

ROOT = Path(mico_runner.__file__).parent


def levels() -> dict[str, int]:
    """Package or module below `mico_runner` -> its layer, 0 at the top."""
    config = tomllib.loads((ROOT.parent / "pyproject.toml").read_text(encoding="utf-8"))
    layers = config["tool"]["importlinter"]["contracts"][0]["layers"]
    return {name.split(".")[1]: at for at, layer in enumerate(layers) for name in layer.split(" | ")}


def lazy(node: ast.AST, inside: bool = False) -> Iterator[str]:
    """The modules of this package that are imported inside functions, as they are written."""
    if isinstance(node, ast.ImportFrom) and inside and (node.module or "").startswith("mico_runner"):
        yield from ([node.module] if "." in node.module else [f"mico_runner.{alias.name}" for alias in node.names])
    for child in ast.iter_child_nodes(node):
        yield from lazy(child, inside or isinstance(node, ast.FunctionDef))


def test_lazy_imports_point_down_too():
    level, wrong, count = levels(), [], 0
    for path in sorted(ROOT.rglob("*.py")):
        own = path.relative_to(ROOT).with_suffix("").parts[0]
        for module in lazy(ast.parse(path.read_text(encoding="utf-8"))):
            count += 1
            other = module.split(".")[1]
            if own in level and other in level and other != own and level[other] <= level[own]:
                wrong.append(f"{path.relative_to(ROOT)} imports {module}")
    assert not wrong, wrong
    assert count > 100  # steps import what computes when they run, so that a plan does without torch
