"""From a few names to all code that they use."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path

from mico_runner import durable, plugins
from mico_runner.remembered import Remembered, stamp
from mico_runner.sources.files import PACKAGE, Files, Name, is_ours
from mico_runner.sources.kept import Answer, Kept
from mico_runner.sources.summary import IMPORT

# How things are found and kept, and what is said when they are wrong: what comes of it is an input by itself.
NO_NUMBERS = {"data/catalog.py", "durable.py", "errors.py", "paths.py", "registry.py", "remembered.py", "sources"}
# Libraries whose version can change a number, and what they are called where they are installed.
LIBRARIES = {
    "PIL": ("pillow",),
    "einops": ("einops",),
    "numpy": ("numpy",),
    "pygmo": ("pygmo",),
    "scipy": ("scipy",),
    "sklearn": ("scikit-learn",),
    "timm": ("timm",),
    "torch": ("torch",),
    "torchvision": ("torchvision",),
    "transformers": ("transformers",),
    "xgboost": ("xgboost-cpu", "xgboost"),
}
_C_TOKEN = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|/\*.*?\*/|//[^\n]*', re.DOTALL)


@dataclass
class Reached:
    """What was reached.

    Attributes:
        sources: file, relative to the package or to the user's own folder -> hash of what is used of it.
        names: path of a Python file -> its names that are used.
        libraries: installed name -> version, None where it is not installed; those of `LIBRARIES` that are used.
        torch_threads: whether an attribute `torch_threads` is read.
    """

    sources: dict[str, str] = field(default_factory=dict)
    names: dict[str, set[str]] = field(default_factory=dict)
    libraries: dict[str, str | None] = field(default_factory=dict)
    torch_threads: bool = False


@dataclass
class _Project:
    """What this process found in the files of this project, while they have these stamps."""

    stamps: dict[str, list[int]]
    files: Files
    reached: dict[object, Reached]


_project: _Project | None = None


class Sources:
    """Reads files and remembers what they hold; a context, because it remembers on disk, too."""

    def __enter__(self) -> Sources:
        self._memory = Remembered("sources.json", _how()).__enter__()
        self._files = Files(self._memory)
        self._reached: dict[object, Reached] = {}  # the cells of a sweep ask alike
        self._lasting: set[object] = set()  # keys of those that are of this project alone
        self._stamps = {} if plugins.used() else _stamps_below(PACKAGE)  # plug-ins join registries
        if _project is not None and _project.stamps == self._stamps:
            self._files = _project.files.of_project(self._memory)
            self._reached, self._lasting = dict(_project.reached), set(_project.reached)
        self._kept = Kept(_how(), self._stamps) if self._stamps else None
        return self

    def __exit__(self, *_: object) -> None:
        global _project
        if self._stamps and not plugins.used():
            reached = {asked: self._reached[asked] for asked in self._lasting}
            _project = _Project(self._stamps, self._files, reached)
        self._memory.__exit__()

    def reach(self, roots: Iterable[tuple[Path, str]], chosen: Mapping[str, Iterable[str]] | None = None) -> Reached:
        """Follow everything that the roots use; a root's name that its file lacks means all of it.

        Args:
            chosen: package of a registry, or of modules one of which is imported by name -> the entries that are used; without it, all.

        Raises:
            UsageError: a file is no Python.
            OSError: a file cannot be read.
        """
        starts = [(str(path.resolve()), name) for path, name in roots]
        entries = {package: frozenset(names) for package, names in (chosen or {}).items()}
        asked = tuple(starts), frozenset(entries.items())
        if asked not in self._reached:
            found, ours = self._kept.find(starts, entries) if self._kept else None, True
            if found is None:
                found, ours = self._follow(starts, entries)
                if self._kept and ours:
                    self._kept.keep(starts, entries, found)
            sources, names, libraries, threads = found
            self._reached[asked] = Reached(sources, names, dict(map(_version, libraries)), threads)
            self._lasting |= {asked} if ours else set()
        return self._reached[asked]

    def _follow(self, starts: list[Name], chosen: Mapping[str, frozenset[str]]) -> tuple[Answer, bool]:
        """And whether all of it is of this project."""
        names, libraries, data, threads = self._walk(starts, chosen)
        home = next((os.path.dirname(path) for path, _ in starts if not is_ours(path)), PACKAGE)
        sources: dict[str, str] = {}
        for path in sorted({*names, *data}):
            meaning = self._meaning(path, names[path]) if path in names else self._memory(Path(path), _meaning_of_data)
            label = _label(path, home)
            sources[label] = sources[label] + meaning if label in sources else meaning  # two folders of a user's own
        kept = {label: digest for label, digest in sorted(sources.items()) if not _is_infrastructure(label)}
        used = sorted(libraries & LIBRARIES.keys())
        return (kept, names, used, threads), all(map(is_ours, [*names, *data]))

    def _walk(
        self, roots: list[Name], chosen: Mapping[str, frozenset[str]]
    ) -> tuple[dict[str, set[str]], set[str], set[str], bool]:
        """Names used by file, first parts of foreign modules, files that are data, and whether `torch_threads` is read."""
        names: dict[str, set[str]] = {}
        libraries: set[str] = set()
        data: set[str] = set()
        threads = False
        imported: set[str] = set()
        waiting: list[str] = []  # to be imported
        todo = list(roots)
        while todo or waiting:
            if waiting:
                path = waiting.pop()
                if path not in imported:
                    imported.add(path)
                    waiting += self._files.imports(path)
                    if IMPORT in self._files.summary(path)["names"]:
                        todo.append((path, IMPORT))
                continue
            path, name = todo.pop()
            used = names.setdefault(path, set())
            if name in used:
                continue
            about = self._files.summary(path)
            waiting.append(path)
            if name not in about["names"]:
                todo += [(path, each) for each in about["names"]]
                continue
            used.add(name)
            links = self._files.links(path, name)
            threads |= about["names"][name]["torch_threads"]
            libraries |= links.libraries
            if name in about["data"]:
                data |= _files_below(os.path.normpath(os.path.join(path, about["data"][name])))
            waiting += links.imports
            todo += links.uses
            for package, entries, every in links.entries:
                wanted = entries.keys() if every else chosen.get(package, entries.keys()) & entries.keys()
                todo += [entries[entry] for entry in wanted]
        if any(
            path.endswith(".c") for path in data
        ):  # the package's kernels, and so those of the plug-ins that are used
            data |= {
                str(path) for own in plugins.used() if str(own) in names for path in own.parent.glob("mico_*.[ch]")
            }
        return names, libraries, data, threads

    def _meaning(self, path: str, names: set[str]) -> str:
        about = self._files.summary(path)["names"]
        text = "".join(f"{name} {about[name]['meaning']}\n" for name in sorted(names))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _label(path: str, home: str) -> str:
    for folder in (PACKAGE, home):
        if path.startswith(folder + os.sep):
            return path[len(folder) + 1 :].replace(os.sep, "/")
    return os.path.basename(path)


def _is_infrastructure(label: str) -> bool:
    return label in NO_NUMBERS or label.partition("/")[0] in NO_NUMBERS


def _files_below(place: str) -> set[str]:
    """A constant's file, or the files in its folder that are not Python: what is imported of those is reached by name."""
    if place == PACKAGE:  # where everything is; what is read of it is an input by itself
        return set()
    files = [place] if os.path.isfile(place) else [str(path) for path in Path(place).rglob("*") if path.is_file()]
    return {path for path in files if not path.endswith((".py", ".pyc"))}


def _meaning_of_data(path: Path) -> str:
    """Hash of a file that is no Python; C without comments, indentation and empty lines."""
    if path.suffix not in (".c", ".h"):
        return durable.sha256(path)[:16]
    text = _C_TOKEN.sub(lambda m: " " if m[0].startswith("/") else m[0], path.read_text(encoding="utf-8"))
    lines = (re.sub(r"[ \t]+", " ", line).strip() for line in text.splitlines())
    return hashlib.sha256("\n".join(filter(None, lines)).encode()).hexdigest()[:16]


def _stamps_below(folder: str) -> dict[str, list[int]]:
    """Of all files that can be read, and of the folders, which change with what is in them."""
    found = {}
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for path in (here, *(os.path.join(here, name) for name in files)):
            with suppress(
                OSError
            ):  # an editor's lock, which leads nowhere, or a file that is gone again: its folder tells
                found[path] = stamp(path)
    return found


@cache
def _how() -> str:
    """What reads the files: when it changes, what was remembered of them is void."""
    return "".join(durable.sha256(file)[:8] for file in sorted(Path(__file__).parent.glob("*.py")))


@cache
def _version(library: str) -> tuple[str, str | None]:
    """Installed name and version."""
    for name in LIBRARIES[library]:
        try:
            return name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return LIBRARIES[library][0], None
