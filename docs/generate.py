"""The pages of the documentation that say what the code says: `make docs-tables` writes them, a test compares them."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np

from mico_runner import ops, paths
from mico_runner.errors import UsageError
from mico_runner.ops.base import Operator

REFERENCE = Path(__file__).parent / "reference"
PACKAGES = ("quant", "graph", "ops", "codegen", "proxy", "search")
NOTE = "Generated from the code by `make docs-tables`."
OPERATORS = f"""# Operators

{NOTE} An operator is one file in `mico_runner/ops/`, or
[one of your own](../tutorial/04-own-operator.md). *Calls* are those of `torch.export`, without `aten.`, that it takes;
[graph.md](graph.md) says more of what is captured. *Kernel* is the kind of row that it has in a [profile](data.md), or
why profiles have none of it.

| operator | computes | calls | kernel |
|---|---|---|---|
"""


def pages() -> dict[Path, str]:
    """Path -> text of every generated page."""
    api = {REFERENCE / "api" / f"{package}.md": _api_page(package) for package in PACKAGES}
    return {REFERENCE / "operators.md": OPERATORS + "".join(map(_operator_row, ops.operators())), **api}


def _operator_row(of: Operator) -> str:
    calls = ", ".join(f"`{call}`" for call in of.ATEN) or "made of others"
    kernel = of.NO_KERNEL or " or ".join(f"`{kind}`" for kind in _kinds(of))
    return _row(f"`{of.name}`", ops.OPERATORS.info(of.name).summary, calls, kernel)


def _kinds(of: Operator) -> list[str]:
    """The kinds of rows of an operator's samples; where it has none, of its examples."""
    found = set(of.FAMILIES)
    try:
        for node, shapes in of.samples(np.random.default_rng(0)):
            try:
                found.add(of.row(node, shapes, batch=1)["kind"])
            except UsageError:  # the kernel table has no column for this one
                continue
    except NotImplementedError:
        pass
    return sorted(found)


def _api_page(package: str) -> str:
    """The public functions and classes of a package, read and not imported; the entries of registries have other lists."""
    folder = paths.PACKAGE / package
    text = [f"# `mico_runner.{package}`\n\n{NOTE} The signatures are those of the source.\n"]
    for path in sorted(folder.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        rows = [row for node in tree.body for row in _definition(node)]
        name = ".".join(path.relative_to(paths.PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        if rows:
            text.append(f"\n## `{name}`\n\n| | {_cell(_summary(tree))} |\n|---|---|\n{''.join(rows)}")
    return "".join(text)


def _definition(node: ast.stmt) -> list[str]:
    if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
        return []
    if any("register" in ast.unparse(decorator) for decorator in node.decorator_list):
        return []
    if isinstance(node, ast.FunctionDef):
        return [_row(f"`{_signature(node.name, node)}`", _summary(node))]
    methods = [m for m in node.body if isinstance(m, ast.FunctionDef)]
    made = next((m for m in methods if m.name == "__init__"), None)
    title = _signature(node.name, made) if made else node.name
    rows = [_row(f"`class {title}`", _summary(node))]
    public = [m for m in methods if not m.name.startswith("_") and _summary(m)]
    return rows + [_row(f"`.{_signature(m.name, m)}`", _summary(m)) for m in public]


def _signature(name: str, node: ast.FunctionDef) -> str:
    arguments = ast.unparse(node.args)
    for first in ("self", "cls"):
        arguments = arguments.removeprefix(f"{first}, ") if arguments != first else ""
    returns = f" -> {ast.unparse(node.returns)}" if node.returns and node.name != "__init__" else ""
    if any("property" in ast.unparse(decorator) for decorator in node.decorator_list):
        return f"{name}{returns}"
    return f"{name}({arguments}){returns}"


def _summary(node: ast.Module | ast.FunctionDef | ast.ClassDef) -> str:
    return (ast.get_docstring(node) or "").split("\n")[0]


def _row(*cells: str) -> str:
    return f"| {' | '.join(map(_cell, cells))} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    for path, text in pages().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
