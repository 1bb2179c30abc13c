"""Plug-in points: one file plus one `@register("name")` adds an entry, in the package or outside of it (`plugins.py`).

The names, their parameters and summaries are read from the source text, so listing or validating never imports an entry
(nor torch, xgboost or pygmo behind it); `get` imports the one file that is asked for.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mico_runner import plugins
from mico_runner.errors import UnknownName, UsageError

# Decorator, signature and docstring of a top-level definition, as the formatter lays them out: to parse all of every file takes a third
# of the time in which `validate` or `list` ends.
_HEAD = re.compile(
    r'@register\(.*?^(?:async def|def|class) .*?:(?: *#[^\n]*)?\n(?:    r?""".*?""")?', re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Entry:
    """One registered object, as far as its source text tells."""

    name: str
    module: str
    summary: str  # first line of the docstring
    meta: Mapping[str, Any] = field(default_factory=dict)  # the decorator's keywords, literals only
    path: Path | None = None  # of a file outside the package

    @property
    def file(self) -> Path:
        """Where it is defined; nothing of it is imported."""
        found = importlib.util.find_spec(self.module) if self.path is None else None
        return Path(str(found.origin)) if found else Path(str(self.path))


class Registry:
    """The entries of one kind: all objects decorated with `register` in the files of one package.

    Args:
        kind: what an entry is called in messages ("model").
        package: the dotted name of the package whose files hold the entries.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self.package = package
        self._objects: dict[str, Any] = {}
        # The files of `plugins`, and all entries with them.
        self._plugged: tuple[tuple[Path, ...], dict[str, Entry]] = ((), {})

    def register(self, name: str, **meta: Any) -> Callable[[Any], Any]:
        """Decorator that adds a class or function under `name`; `params={...}` is its Cerberus schema."""

        def add(obj: Any) -> Any:
            self._objects[name] = self._objects[f"{obj.__module__}:{name}"] = obj
            return obj

        return add

    @property
    def entries(self) -> dict[str, Entry]:
        """All entries by name, sorted, without importing them. Raises UsageError: a file of `plugins.used` has a mistake."""
        files = plugins.used()
        if files is not self._plugged[0]:  # `use` was called since
            found = dict(self._own)
            for path in files:
                for entry in _scan_plugin(path) if plugins.package(path) == self.package else ():
                    if entry.name in found:
                        raise UsageError(
                            f"{path}: there is {a(self.kind)} {entry.name!r} already, in {found[entry.name].module}"
                        )
                    found[entry.name] = entry
            self._plugged = files, dict(sorted(found.items()))
        return self._plugged[1] if files else self._own

    @cached_property
    def _own(self) -> dict[str, Entry]:
        """Those of the package."""
        folder = Path(__file__).parent.joinpath(*self.package.split(".")[1:])
        found: dict[str, Entry] = {}
        for path in sorted(folder.glob("*.py")):
            for entry in _scan(path, f"{self.package}.{path.stem}"):
                if entry.name in found:
                    raise RuntimeError(f"two {self.kind}s are registered as {entry.name!r}: {path}")
                found[entry.name] = entry
        return dict(sorted(found.items()))

    def names(self) -> list[str]:
        return list(self.entries)

    def __contains__(self, name: object) -> bool:
        """Whether there is such an entry, which reads no more than `info` does."""
        return name in self.entries

    def info(self, name: str) -> Entry:
        """The entry's description; raises `UnknownName` with the nearest names."""
        try:
            return self.entries[name]
        except KeyError:
            raise UnknownName(self.kind, name, self.entries) from None

    def get(self, name: str) -> Any:
        """The registered object; its file is imported on first use. Raises `UnknownName`."""
        entry = self.info(name)
        if entry.path is not None:  # other specs may name other files with an entry of this name
            plugins.load(entry.module, entry.path)
            return self._objects[f"{entry.module}:{name}"]
        if name not in self._objects:
            importlib.import_module(entry.module)
        return self._objects[name]


def a(kind: str) -> str:
    """The word with its article."""
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _scan(path: Path, module: str) -> list[Entry]:
    """The `@register(...)`-decorated top-level definitions of one file."""
    heads, text, at = [], "\n" + path.read_text(encoding="utf-8"), 0
    while (at := text.find("\n@register(", at)) >= 0:  # to try the expression at every line takes ten times as long
        head = _HEAD.match(text, at + 1)
        at = head.end() if head else at + 1
        if head:
            heads.append(f"{head[0]}\n    pass\n")
    found = plugins.heads_of(ast.parse("".join(heads), str(path))) if heads else []
    return [Entry(name, module, summary, keywords) for name, summary, keywords in found]


def _scan_plugin(path: Path) -> list[Entry]:
    """The same of a file that somebody else wrote. Raises UsageError: its decorators cannot be read."""
    module = plugins.module_name(path)
    return [Entry(name, module, summary, keywords, path) for name, summary, keywords in plugins.heads(path)]
