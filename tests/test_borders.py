"""What crosses the border of a package has a type: no name that another package imports is annotated with `dict[str, Any]`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import mico_runner

ROOT = Path(mico_runner.__file__).parent
LOOSE = {f"{form}[str, Any]" for form in ("dict", "Mapping", "MutableMapping")}
OPEN = {  # whose keys and values somebody else decides, and why
    "mico_runner.ops.capture.Call.args": "the arguments of a call in a user's module: any object of Python",
    "mico_runner.ops.capture.bind": "the same",
    "mico_runner.ops.node.Node.attrs": "each operator has attributes of its own, which its file alone reads",
    "mico_runner.ops.node.QNode.attrs": "the same",
    "mico_runner.registry.Entry.meta": "the keywords of a decorator, which differ by registry",
}


def modules(root: Path) -> dict[str, ast.Module]:
    """By dotted name."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def package(module: str) -> str:
    return ".".join(module.split(".")[:2])


class Borders:
    """Which names of a tree of modules other packages use, and the loose annotations of these."""

    def __init__(self, trees: dict[str, ast.Module]) -> None:
        self.trees = trees
        self.imports = {module: dict(self._imports(tree)) for module, tree in trees.items()}
        self.tops = {
            module: {name: node for node in tree.body for name in names(node)} for module, tree in trees.items()
        }

    def _imports(self, tree: ast.Module) -> Iterator[tuple[str, tuple[str, str]]]:
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module in self.trees:
                yield from ((alias.asname or alias.name, (node.module, alias.name)) for alias in node.names)

    def home(self, module: str, name: str) -> tuple[str, str] | None:
        """Where a name is defined; (module, "") of a module."""
        if f"{module}.{name}" in self.trees:
            return f"{module}.{name}", ""
        if name in self.tops.get(module, {}):
            return module, name
        further = self.imports.get(module, {}).get(name)
        return self.home(*further) if further and further != (module, name) else None

    def used(self) -> set[tuple[str, str]]:
        """Names that a package takes from another: imported, or an attribute of an imported module."""
        found = set()
        for module, tree in self.trees.items():
            homes = {name: self.home(*at) for name, at in self.imports[module].items()}
            through = {name: home[0] for name, home in homes.items() if home and not home[1]}
            taken = [home for home in homes.values() if home and home[1]]
            for node in ast.walk(tree):
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in through:
                    taken.append(self.home(through[node.value.id], node.attr))
            found |= {home for home in taken if home and home[1] and package(home[0]) != package(module)}
        return found

    def loose(self) -> set[str]:
        return {f"{module}.{name}" for module, top in self.used() for name in self._of(module, top)}

    def _of(self, module: str, top: str) -> Iterator[str]:
        node = self.tops[module][top]
        if isinstance(node, ast.ClassDef):
            for part in node.body:
                for name in names(part):
                    if (not name.startswith("_") or name == "__init__") and self._is_loose(module, part):
                        yield f"{top}.{name}"
        elif self._is_loose(module, node):
            yield top

    def _is_loose(self, module: str, node: ast.stmt) -> bool:
        """Whether an annotation of a definition, or what an alias stands for, is a mapping of anything."""
        if isinstance(node, ast.FunctionDef):
            every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            parts = [arg.annotation for arg in every] + [node.returns]
        elif isinstance(node, ast.AnnAssign):
            parts = [node.annotation]
        else:
            parts = [node.value] if isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript) else []
        for inner in (inner for part in parts if part for inner in ast.walk(part)):
            if isinstance(inner, ast.Subscript) and ast.unparse(inner) in LOOSE:
                return True
            alias = self.home(module, inner.id) if isinstance(inner, ast.Name) else None
            of = self.tops[alias[0]][alias[1]] if alias and alias[1] else None
            if isinstance(of, ast.Assign) and isinstance(of.value, ast.Subscript) and self._is_loose(alias[0], of):
                return True
        return False


def names(node: ast.stmt) -> list[str]:
    """What a statement defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def test_no_mapping_of_anything_crosses_a_border():
    assert Borders(modules(ROOT)).loose() == set(OPEN)


@pytest.mark.parametrize(
    ("text", "found"),
    {
        "def f(x: dict[str, Any]) -> int: ...": {"top.a.f"},
        "def f(x: int) -> list[dict[str, Any]]: ...": {"top.a.f"},
        "def f(x: dict[str, object]) -> int: ...": set(),
        "Row = dict[str, Any]\ndef f(x: Row) -> int: ...": {"top.a.f"},
        "class f:\n    x: Mapping[str, Any]\n    _y: dict[str, Any]": {"top.a.f.x"},
        "class f:\n    def __init__(self, x: dict[str, Any]): ...\n    def _g(self) -> dict[str, Any]: ...": {
            "top.a.f.__init__"
        },
        "def f(): ...\ndef g(x: dict[str, Any]): ...": set(),
    }.items(),
)
def test_a_border_is_seen(text, found):
    for use in ("from top.a import f", "from top import a\na.f", "from top.c import f"):
        trees = {"top.a": text, "top.b.inner": use, "top.c": "from top.a import f"}
        assert (
            Borders({"top": ast.parse(""), **{name: ast.parse(code) for name, code in trees.items()}}).loose() == found
        )


def test_within_a_package_a_mapping_may_be_anything():
    trees = {"top.a.one": "def f() -> dict[str, Any]: ...", "top.a.two": "from top.a.one import f"}
    assert not Borders({name: ast.parse(code) for name, code in trees.items()}).loose()
