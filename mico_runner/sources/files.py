"""Files of this project, and beside a user's file, by the dotted names that mean them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from mico_runner import paths
from mico_runner.remembered import Remembered
from mico_runner.sources import summary
from mico_runner.sources.summary import Summary

Root = tuple[Path, str]  # a file and a name in it
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

    uses: list[Root] = field(default_factory=list)
    imports: list[Path] = field(default_factory=list)
    libraries: set[str] = field(default_factory=set)
    entries: list[tuple[str, dict[str, Root], bool]] = field(default_factory=list)


class Files:
    """Reads each file once, and remembers where its names lead."""

    def __init__(self, memory: Remembered) -> None:
        self._memory = memory
        self._summaries: dict[Path, Summary] = {}
        self._links: dict[Root, Links] = {}
        self._located: dict[tuple[str, Path], tuple[Path | None, list[str], list[Path]]] = {}
        self._modules: dict[tuple[Path, str], Path | None] = {}

    def summary(self, path: Path) -> Summary:
        """See `summary.summarise`. Raises SyntaxError, OSError."""
        if path not in self._summaries:
            self._summaries[path] = self._memory(path, _summarise)
        return self._summaries[path]

    def links(self, path: Path, name: str) -> Links:
        """Where a name of the file leads."""
        if (path, name) not in self._links:
            self._links[path, name] = self._follow(path, name)
        return self._links[path, name]

    def imports(self, path: Path) -> list[Path]:
        """The files that are imported when this one is."""
        links = Links()
        for module in self.summary(path)["eager"]:
            self._import(module, path, links)
        return links.imports

    def _follow(self, path: Path, name: str) -> Links:
        about, links = self.summary(path), Links()
        for module in about["names"][name]["imports"]:
            self._import(module, path, links)
        for used in about["names"][name]["uses"]:
            self._resolve(used, path, links)
        for package in about["names"][name]["listed"]:
            links.entries.append((package, {file.stem: (file, EVERYTHING) for file in self._files(package)}, False))
        if name in about["registries"]:
            links.entries.append((*self._registered(about["registries"][name]), False))
        return links

    def _resolve(self, dotted: str, origin: Path, links: Links) -> None:
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

    def _look_up(self, path: Path, parts: list[str], links: Links) -> None:
        """Link `parts[0]` of a file, or what stands behind it."""
        about, (name, *rest) = self.summary(path), parts
        if name in about["names"]:
            links.uses.append((path, name))
            if name in about["registries"] and rest and rest[0] in _ALL_ENTRIES:
                links.entries.append((*self._registered(about["registries"][name]), True))
        elif name in about["aliases"]:
            self._resolve(".".join([about["aliases"][name], *rest]), path, links)
        elif name in about["homes"]:
            self._look_up(path.parent / f"{about['homes'][name]}.py", [name, *rest], links)
        elif "__getattr__" in about["names"] and not about["homes"]:
            links.uses.append((path, "__getattr__"))

    def _import(self, dotted: str, origin: Path, links: Links) -> None:
        path, rest = self._locate(dotted, origin, links)
        if path is not None and rest and rest[0] in (homes := self.summary(path)["homes"]):
            links.imports.append(path.parent / f"{homes[rest[0]]}.py")

    def _registered(self, package: str) -> tuple[str, dict[str, Root]]:
        """The package, and registered name -> file and name in it, of all its files."""
        found = {entry: (p, name) for p in self._files(package) for entry, name in self.summary(p)["entries"].items()}
        return package, found

    def _files(self, package: str) -> list[Path]:
        path, _ = self._locate(package, paths.PACKAGE, Links())
        return [] if path is None else [file for file in sorted(path.parent.glob("*.py")) if file != path]

    def _locate(self, dotted: str, origin: Path, links: Links) -> tuple[Path | None, list[str]]:
        """The file of the innermost module that a dotted name leads to, and the rest; None for what is not of this project.

        The modules on the way are linked as imported.
        """
        key = dotted, origin.parent
        if key not in self._located:
            self._located[key] = self._find(dotted, origin.parent)
        path, rest, passed = self._located[key]
        links.imports += passed
        return path, rest

    def _find(self, dotted: str, folder: Path) -> tuple[Path | None, list[str], list[Path]]:
        level = len(dotted) - len(dotted.lstrip("."))
        parts = dotted[level:].split(".") if dotted[level:] else []
        if level:
            package = [folder, *folder.parents][level - 1]
            path = package / "__init__.py"
            if not path.is_file():
                path = self._module(package, parts.pop(0)) if parts else None
        else:
            found = (self._module(place, parts[0]) for place in _places(folder, parts[0]))
            path, parts = next(filter(None, found), None), parts[1:]
        passed = [path] if path else []
        while parts and path is not None and path.name == "__init__.py":
            about = self.summary(path)
            known = any(parts[0] in about[kind] for kind in ("names", "aliases", "homes"))
            inner = None if known else self._module(path.parent, parts[0])
            if inner is None:
                break
            path, parts = inner, parts[1:]
            passed.append(path)
        return path, parts, passed

    def _module(self, folder: Path, name: str) -> Path | None:
        if (folder, name) not in self._modules:
            places = (folder / name / "__init__.py", folder / f"{name}.py")
            self._modules[folder, name] = next((place for place in places if place.is_file()), None)
        return self._modules[folder, name]


@cache
def _is_ours(folder: Path) -> bool:
    return folder.is_relative_to(paths.PACKAGE)


def _places(folder: Path, first: str) -> list[Path]:
    """Where a module may lie whose dotted name begins with `first`, seen from a file in `folder`."""
    if first == paths.PACKAGE.name:
        return [paths.PACKAGE.parent]
    if _is_ours(folder):
        return []
    places = [folder]
    while (places[-1] / "__init__.py").is_file():
        places.append(places[-1].parent)
    return places


def _summarise(path: Path) -> Summary:
    name = path.stem
    if path.is_relative_to(paths.PACKAGE):
        parts = path.relative_to(paths.PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return summary.summarise(path.read_text(encoding="utf-8"), name)
