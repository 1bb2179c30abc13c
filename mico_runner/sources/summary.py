"""What a Python file defines, top-level name by top-level name: the meaning of each, and which other names it uses.

The meaning is a hash of the parsed text without comments, docstrings and positions. Annotations belong to it, but what they name is not
used. Files are parsed, never imported, and each is parsed once (`files.py` remembers the summaries).
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from typing import Any

from mico_runner.sources.uses import DEFINITIONS, below, chains

IMPORT = ""  # name of the statements that run at every import, whatever is used of the file
_SAFE = {
    "dataclass",
    "cache",
    "lru_cache",
    "contextmanager",
    "cached_property",
    "total_ordering",
}  # change nothing else
_REGISTER = "register"


Summary = dict[str, Any]


def summarise(text: str, module: str) -> Summary:
    """Describe a file.

    Args:
        module: its dotted name, as far as it is known.

    Returns:
        JSON-able:
        names: {name: {"meaning": hash, "uses": [...], "imports": [...], "listed": [...], "torch_threads": bool}}. `uses` are dotted
            names: those that begin with ":" are of this file, those with a "." relative, the others absolute. `imports` are modules
            that are imported on use, `listed` packages one module of which is chosen at run time; `torch_threads`: whether an attribute
            of that name is read. `IMPORT` is there when the file has statements that run at its import.
        aliases: {name: dotted name that an import at the top binds it to}.
        eager: dotted names that are imported with the file.
        homes: {name: module of this package that defines it}, of packages that import on first use.
        registries: {name: package whose files hold the entries}.
        entries: {registered name: name in this file}.
        data: {name: path relative to this file} of constants that are files or folders.

    Raises SyntaxError.
    """
    return _Reader(ast.parse(text), module).summary()


class _Reader:
    def __init__(self, tree: ast.Module, module: str) -> None:
        self.module, self.body = module, tree.body
        self.aliases: dict[str, str] = {}
        self.eager: list[str] = []
        self.defined: dict[str, list[ast.stmt]] = {}
        self.always: list[ast.stmt] = []
        self.entries: dict[str, str] = {}
        self.values: dict[str, ast.expr] = {}

    def summary(self) -> Summary:
        for statement in self.body:
            self._sort(statement)
        names = {name: self._describe(nodes) for name, nodes in self.defined.items()}
        if self.always:
            names[IMPORT] = self._describe(self.always)
            kept = [f":{statement.name}" for statement in self.always if isinstance(statement, DEFINITIONS)]
            names[IMPORT]["uses"] = sorted({*names[IMPORT]["uses"], *kept})  # what a decorator took may be called later
        data = {name: place for name, value in self.values.items() if (place := _place(value)) is not None}
        registries = {name: package for name, value in self.values.items() if (package := self._registry(value))}
        return {
            "names": names,
            "aliases": self.aliases,
            "eager": sorted(set(self.eager)),
            "homes": self._homes(),
            "registries": registries,
            "entries": self.entries,
            "data": data,
        }

    def _sort(self, statement: ast.stmt) -> None:
        """Put one top-level statement where it belongs."""
        if isinstance(statement, ast.Import | ast.ImportFrom):
            bound = dict(_bindings(statement))
            self.aliases |= bound
            self.eager += bound.values()
        elif isinstance(statement, DEFINITIONS):
            self.defined.setdefault(statement.name, []).append(statement)
            if entry := self._entry(statement):
                self.entries[entry] = statement.name
            elif not all(_last_name(decorator) in _SAFE for decorator in statement.decorator_list):
                self.always.append(statement)
        elif isinstance(statement, ast.Assign | ast.AnnAssign) and (targets := _targets(statement)):
            for name in targets:
                self.defined.setdefault(name, []).append(statement)
                if statement.value is not None:
                    self.values[name] = statement.value
        elif not _is_for_types(statement) and not _is_text(statement):
            self.always.append(statement)
            for node in ast.walk(statement):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    bound = dict(_bindings(node))
                    self.aliases |= bound
                    self.eager += bound.values()

    def _entry(self, statement: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> str | None:
        """The name under which a definition is registered in a `Registry` of this project."""
        if not self.aliases.get(_REGISTER, "").startswith("mico_runner."):
            return None
        for call in statement.decorator_list:
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == _REGISTER:
                return ast.literal_eval(call.args[0])
        return None

    def _describe(self, nodes: list[ast.stmt]) -> dict[str, Any]:
        kept = [_meaningful(node) for node in nodes]
        local: dict[str, str] = {}
        calls, threads = [], False
        for inner in below(kept):
            kind = type(inner)
            if kind is ast.Import or kind is ast.ImportFrom:
                local |= dict(_bindings(inner))
            elif kind is ast.Call:
                calls.append(inner)
            elif kind is ast.Attribute and inner.attr == "torch_threads":
                threads = True
        read: set[str] = set()
        for node in kept:
            chains(node, frozenset(), read)
        uses = set()
        for chain in read:
            head, _, rest = chain.partition(".")
            target = local.get(head) or self.aliases.get(head) or (f":{head}" if head in self.defined else None)
            if target:
                uses.add(f"{target}.{rest}" if rest else target)
        listed = {package for call in calls if (package := self._listed(call))}
        meaning = hashlib.sha256("\n".join(map(_dump, kept)).encode()).hexdigest()[:16]
        about = {"uses": sorted(uses), "imports": sorted(set(local.values())), "listed": sorted(listed)}
        return {"meaning": meaning, "torch_threads": threads, **about}

    def _listed(self, node: ast.Call) -> str | None:
        """The package of `import_module(f"package.{name}")`."""
        if not (_last_name(node.func) == "import_module" and node.args):
            return None
        text = node.args[0]
        if isinstance(text, ast.JoinedStr) and len(text.values) > 1 and isinstance(text.values[0], ast.Constant):
            return text.values[0].value.rstrip(".")
        return self.module if isinstance(text, ast.JoinedStr) else None

    def _registry(self, value: ast.expr) -> str | None:
        """The package of `Registry("kind", package)`."""
        if not (isinstance(value, ast.Call) and _last_name(value.func) == "Registry" and len(value.args) > 1):
            return None
        package = value.args[1]
        if isinstance(package, ast.Constant):
            return package.value
        if isinstance(package, ast.JoinedStr):  # f"{__name__}.strategies"
            return "".join(p.value if isinstance(p, ast.Constant) else self.module for p in package.values)
        return self.module

    def _homes(self) -> dict[str, str]:
        """`_HOME` of a package whose names are imported on first use."""
        homes = self.values.get("_HOME")
        if isinstance(homes, ast.Call) and _last_name(homes) == "fromkeys":
            names, home = map(ast.literal_eval, homes.args)
            return dict.fromkeys(names, home)
        return ast.literal_eval(homes) if isinstance(homes, ast.Dict) else {}


def _bindings(statement: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
    """Name and dotted name of what an import binds."""
    for alias in statement.names:
        if isinstance(statement, ast.Import):
            yield (alias.asname, alias.name) if alias.asname else (alias.name.partition(".")[0],) * 2
            if "." in alias.name and not alias.asname:
                yield alias.name, alias.name  # a key that no name is: imported, bound to its first part
        else:
            base = "." * statement.level + (statement.module or "")
            yield alias.asname or alias.name, f"{base}{'' if base.endswith('.') else '.'}{alias.name}"


def _targets(statement: ast.Assign | ast.AnnAssign) -> list[str]:
    """The names that an assignment binds, when it binds nothing else."""
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    flat = [item for target in targets for item in (target.elts if isinstance(target, ast.Tuple) else [target])]
    return [item.id for item in flat] if all(isinstance(item, ast.Name) for item in flat) else []


def _is_for_types(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and _last_name(statement.test) == "TYPE_CHECKING"


def _is_text(statement: ast.stmt) -> bool:
    """A docstring, or another text that nothing reads."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _meaningful(node: ast.stmt) -> ast.stmt:
    """Without what decides nothing: where an entry is registered, and the `inputs` of a step, which say what it depends on."""
    if not isinstance(node, DEFINITIONS):
        return node
    kept = [d for d in node.decorator_list if not (isinstance(d, ast.Call) and _last_name(d.func) == _REGISTER)]
    changed = {"decorator_list": kept}
    if isinstance(node, ast.ClassDef) and any(_last_name(base) == "Step" for base in node.bases):
        changed["body"] = [s for s in node.body if getattr(s, "name", "") != "inputs"]
    return type(node)(**{**dict(ast.iter_fields(node)), **changed})


def _last_name(node: ast.AST) -> str:
    """`cache` of `cache`, `functools.cache` and `functools.cache(...)`."""
    node = node.func if isinstance(node, ast.Call) else node
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _dump(node: Any) -> str:
    """The tree as text, the same for every Python: without positions, docstrings and what is empty."""
    if isinstance(node, list):
        return f"[{','.join([_dump(item) for item in node if not (isinstance(item, ast.stmt) and _is_text(item))])}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = []
    for name in node._fields:
        value = getattr(node, name, None)
        if value is not None and value != [] and name not in ("ctx", "kind", "type_comment"):
            fields.append(f"{name}={_dump(value)}")
    return f"{type(node).__name__}({','.join(fields)})"


def _place(value: ast.expr) -> str | None:
    """The path of `Path(__file__).parent / "kernels" / "a.c"`, relative to the file."""
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Div) and isinstance(value.right, ast.Constant):
        left = _place(value.left)
        return None if left is None else f"{left}/{value.right.value}"
    if isinstance(value, ast.Attribute) and value.attr == "parent":
        left = _place(value.value)
        return None if left is None else f"{left}/.."
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr == "resolve":
        return _place(value.func.value)
    if isinstance(value, ast.Call) and _last_name(value.func) == "Path" and len(value.args) == 1:
        return "." if getattr(value.args[0], "id", "") == "__file__" else None
    return None
