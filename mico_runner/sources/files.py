"""Files of this project, and beside a user's file, by the dotted names that mean them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from importlib.util import decode_source
from pathlib import Path

from mico_runner import paths, plugins
from mico_runner.errors import UsageError
from mico_runner.remembered import Remembered
from mico_runner.sources import summary
from mico_runner.sources.summary import Summary

Name = tuple[str, str]  # a file's absolute path and a name in it
PACKAGE = str(paths.PACKAGE)
EVERYTHING = "*"  # in place of a name: all of the file
_ALL_ENTRIES = ("names", "entries")  # attributes of a registry that give every entry


@dataclass
class Links:
    """What one name of a file leads to.

    Attributes:
        uses: other names.
        imports: files that are imported on the way.
        libraries: first parts of dotted names that are not of this project.
        entries: (package, its entries, whether all are used), of registries and of packages whose modules are imported by name.
    """

    uses: list[Name] = field(default_factory=list)
    imports: list[str] = field(default_factory=list)
    libraries: set[str] = field(default_factory=set)
    entries: list[tuple[str, dict[str, Name], bool]] = field(default_factory=list)


class Files:
    """Reads each file once, and remembers where its names lead."""

    def __init__(self, memory: Remembered) -> None:
        self._memory = memory
        self._summaries: dict[str, Summary] = {}
        self._links: dict[Name, Links] = {}
        self._imports: dict[str, list[str]] = {}
        self._located: dict[tuple[str, str], tuple[str | None, list[str], list[str]]] = {}
        self._modules: dict[tuple[str, str], str | None] = {}
        self._followed: set[Name] = set()  # imported names on the way to what is looked up

    def of_project(self, memory: Remembered) -> Files:
        """A copy that knows what this one knows of files of this project."""
        copy = Files(memory)
        for name in ("_summaries", "_imports"):
            vars(copy)[name] = {path: known for path, known in vars(self)[name].items() if is_ours(path)}
        for name in ("_links", "_modules"):
            vars(copy)[name] = {(path, of): known for (path, of), known in vars(self)[name].items() if is_ours(path)}
        copy._located = {(of, folder): known for (of, folder), known in self._located.items() if is_ours(folder)}
        return copy

    def summary(self, path: str) -> Summary:
        """See `summary.summarise`. Raises UsageError: it is no Python; OSError."""
        if path not in self._summaries:
            self._summaries[path] = self._memory(Path(path), _summarise)
        return self._summaries[path]

    def links(self, path: str, name: str) -> Links:
        """Where a name of the file leads."""
        if (path, name) not in self._links:
            self._links[path, name] = self._follow(path, name)
        return self._links[path, name]

    def imports(self, path: str) -> list[str]:
        """The files that are imported when this one is."""
        if path not in self._imports:
            links = Links()
            for module in self.summary(path)["eager"]:
                self._import(module, path, links)
            self._imports[path] = list(dict.fromkeys(links.imports))
        return self._imports[path]

    def _follow(self, path: str, name: str) -> Links:
        about, links = self.summary(path), Links()
        for module in about["names"][name]["imports"]:
            self._import(module, path, links)
        for used in about["names"][name]["uses"]:
            self._resolve(used, path, links)
        for package in about["names"][name]["listed"]:
            links.entries.append((package, {_stem(file): (file, EVERYTHING) for file in self._files(package)}, False))
        if name in about["registries"]:
            links.entries.append((*self._registered(about["registries"][name]), False))
        return links

    def _resolve(self, dotted: str, origin: str, links: Links) -> None:
        """Link what a dotted name means in the file `origin`."""
        if dotted.startswith(":"):
            return self._look_up(origin, dotted[1:].split("."), links)
        path, rest = self._locate(dotted, origin, links)
        if path is None:
            links.libraries.add(dotted.partition(".")[0])
        elif rest:
            self._look_up(path, rest, links)
        else:
            links.uses.append((path, EVERYTHING))
        return None

    def _look_up(self, path: str, parts: list[str], links: Links) -> None:
        """Link `parts[0]` of a file, or what stands behind it."""
        about, (name, *rest) = self.summary(path), parts
        if name in about["names"]:
            links.uses.append((path, name))
            if name in about["registries"] and rest and rest[0] in _ALL_ENTRIES:
                links.entries.append((*self._registered(about["registries"][name]), True))
        elif name in about["aliases"]:
            if (path, name) not in self._followed:  # else a file imports from itself, as one called torch.py does
                self._followed.add((path, name))
                self._resolve(".".join([about["aliases"][name], *rest]), path, links)
                self._followed.remove((path, name))
        elif name in about["homes"]:
            self._look_up(_beside(path, about["homes"][name]), [name, *rest], links)
        elif "__getattr__" in about["names"] and not about["homes"]:
            links.uses.append((path, "__getattr__"))

    def _import(self, dotted: str, origin: str, links: Links) -> None:
        path, rest = self._locate(dotted, origin, links)
        if path is not None and rest and rest[0] in (homes := self.summary(path)["homes"]):
            links.imports.append(_beside(path, homes[rest[0]]))

    def _registered(self, package: str) -> tuple[str, dict[str, Name]]:
        """The package, and registered name -> file and name in it, of all its files."""
        files = [*self._files(package), *(str(path) for path in plugins.used() if plugins.package(path) == package)]
        found = {entry: (path, name) for path in files for entry, name in self.summary(path)["entries"].items()}
        return package, found

    def _files(self, package: str) -> list[str]:
        path, _ = self._locate(package, PACKAGE, Links())
        return [] if path is None else [str(f) for f in sorted(Path(path).parent.glob("*.py")) if str(f) != path]

    def _locate(self, dotted: str, origin: str, links: Links) -> tuple[str | None, list[str]]:
        """The file of the innermost module that a dotted name leads to, and the rest; None for what is not of this project.

        The modules on the way are linked as imported.
        """
        key = dotted, os.path.dirname(origin)
        if key not in self._located:
            self._located[key] = self._find(*key)
        path, rest, passed = self._located[key]
        links.imports += passed
        return path, rest

    def _find(self, dotted: str, folder: str) -> tuple[str | None, list[str], list[str]]:
        level = len(dotted) - len(dotted.lstrip("."))
        parts = dotted[level:].split(".") if dotted[level:] else []
        if level:
            for _ in range(level - 1):
                folder = os.path.dirname(folder)
            path: str | None = os.path.join(folder, "__init__.py")
            if not os.path.isfile(path):
                path = self._module(folder, parts.pop(0)) if parts else None
        else:
            found = (self._module(place, parts[0]) for place in _places(folder, parts[0]))
            path, parts = next(filter(None, found), None), parts[1:]
        passed = [path] if path else []
        while parts and path is not None and os.path.basename(path) == "__init__.py":
            about = self.summary(path)
            known = any(parts[0] in about[kind] for kind in ("names", "aliases", "homes"))
            if known and _leads_through(about["aliases"].get(parts[0]), dotted.removesuffix("." + ".".join(parts[1:]))):
                known = False  # a module of the package itself, from which it imports
            inner = None if known else self._module(os.path.dirname(path), parts[0])
            if inner is None:
                break
            path, parts = inner, parts[1:]
            passed.append(path)
        return path, parts, passed

    def _module(self, folder: str, name: str) -> str | None:
        if (folder, name) not in self._modules:
            places = (os.path.join(folder, name, "__init__.py"), os.path.join(folder, f"{name}.py"))
            self._modules[folder, name] = next(filter(os.path.isfile, places), None)
        return self._modules[folder, name]


def is_ours(path: str) -> bool:
    """Whether a file or folder is of this project."""
    return path == PACKAGE or path.startswith(PACKAGE + os.sep)


def _places(folder: str, first: str) -> list[str]:
    """Where a module may lie whose dotted name begins with `first`, seen from a file in `folder`."""
    if first == os.path.basename(PACKAGE):
        return [os.path.dirname(PACKAGE)]
    if is_ours(folder):
        return []
    places = [folder]
    while os.path.isfile(os.path.join(places[-1], "__init__.py")):
        places.append(os.path.dirname(places[-1]))
    if len(places) == 1:
        places.append(os.path.dirname(folder))
    return places


def _leads_through(alias: str | None, module: str) -> bool:
    """Whether what a name stands for is a module, or in it."""
    return alias is not None and (alias == module or alias.startswith(f"{module}."))


def _beside(path: str, module: str) -> str:
    return os.path.join(os.path.dirname(path), f"{module.replace('.', os.sep)}.py")


def _stem(path: str) -> str:
    return os.path.basename(path).removesuffix(".py")


def _summarise(path: Path) -> Summary:
    name = path.stem
    if path.is_relative_to(paths.PACKAGE):
        parts = path.relative_to(paths.PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    try:
        return summary.summarise(decode_source(path.read_bytes()), name)
    except (SyntaxError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path}:{getattr(error, 'lineno', None) or 1}: this is no Python: {getattr(error, 'msg', error)}"
        ) from None
