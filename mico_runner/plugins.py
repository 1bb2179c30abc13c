"""Entries of a user's own: Python files outside the package that a spec names under `plugins:`.

    plugins: [halving.py, my_models]     # files, or folders whose files are read; relative to the spec

A file says which registry it adds to by importing that package's `register`, as a file of the package does. It is read, never imported,
until one of its entries is used. Modules beside it are imported relatively: `from .helper import anneal`; the C of an operator lies
beside it, too.

An installed package adds such files for every spec by entry points of the group `mico_runner.plugins`, each of which names a module.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Iterable
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

from mico_runner import durable
from mico_runner.errors import UsageError
from mico_runner.remembered import Remembered

GROUP = "mico_runner.plugins"  # of entry points
Head = tuple[str, str, dict[str, object]]  # name, first line of the docstring, keywords of the decorator
# The package to whose registry a file adds, its heads, their keywords as Python's text, and what keeps these from being read.
_About = tuple[str | None, list[tuple[str, str, str]], str]
_PREFIX = "mico_plugins_"
_used: tuple[Path, ...] | None = None  # those of the spec that was loaded last, and the installed ones
_known: dict[Path, _About | UsageError] = {}  # of these, and of what `files` found since
_digests: dict[Path, str] = {}  # of the folders of these


def use(files: Iterable[Path]) -> None:
    """Let the registries hold the entries of these files and of installed ones, and of no others outside the package.

    Raises UsageError: see `installed`.
    """
    global _used
    _known.clear()
    _digests.clear()
    _used = (
        *dict.fromkeys([*(path.resolve() for path in files), *installed()]),
    )  # another tuple each time, for the files may have changed


def used() -> tuple[Path, ...]:
    """The files in use, absolute."""
    if _used is None:
        use(())
    return _used or ()


@cache
def installed() -> tuple[Path, ...]:
    """The files that installed packages name in entry points, absolute; nothing is imported.

    Raises UsageError: an entry point names a module that has no source file.
    """
    from importlib.metadata import entry_points

    found = []
    for point in sorted(entry_points(group=GROUP)):
        path = _source_of(point.module)
        if path is None:
            owner = point.dist.name if point.dist else "an installed package"
            raise UsageError(
                f"entry point {point.name!r} of {owner}: there is no source file of the module {point.module!r}"
            )
        found.append(path.resolve())
    return tuple(found)


def _source_of(module: str) -> Path | None:
    """The source file of a module, without importing the packages that it is in."""
    name, *inner = module.split(".")
    found = importlib.util.find_spec(name)
    for part in inner:
        name = f"{name}.{part}"
        places = found.submodule_search_locations if found else None
        found = PathFinder.find_spec(name, list(places)) if places else None
    return Path(found.origin) if found and found.origin and found.origin.endswith(".py") else None


def folders() -> list[Path]:
    """The folders of the files in use, in which the C of their operators lies."""
    return list(dict.fromkeys(path.parent for path in used()))


def files(place: Path) -> list[Path]:
    """A file itself; of a folder its Python files that register something. Raises UsageError: there is no such file, or none of them."""
    if place.is_file():
        _learn([place])
        return [place]
    if not place.is_dir():
        raise UsageError(f"no such file or folder: {place}")
    inside = _python_files(place)
    _learn(inside)
    found = [path for path in inside if package(path) is not None]
    if not found:
        raise UsageError(
            f"no file in {place} registers anything: each needs `from mico_runner.models import register`, or another's"
        )
    return found


def _python_files(folder: Path) -> list[Path]:
    """Sorted; without hidden ones, which editors leave while they write."""
    return [path for path in sorted(folder.glob("*.py")) if path.is_file() and not path.name.startswith(".")]


def package(path: Path) -> str | None:
    """The package to whose registry a file adds: that of the `register` it imports. Raises UsageError: it is no Python."""
    return _about(path)[0]


def heads(path: Path) -> list[Head]:
    """What a file registers, in order. Raises UsageError: its decorators cannot be read, or it is no Python."""
    found, problem = _about(path)[1:]
    if problem:
        text = "the name and the keywords of @register must be literals, for they are read without running the file"
        raise UsageError(f"{path}: {text}: {problem}")
    return [(name, summary, ast.literal_eval(keywords)) for name, summary, keywords in found]


def heads_of(tree: ast.Module) -> list[Head]:
    """The `@register(...)`-decorated top-level definitions of a module. Raises ValueError, IndexError, TypeError: they are no literals."""
    found = []
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        for call in node.decorator_list:
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "register":
                keywords = {k.arg: ast.literal_eval(k.value) for k in call.keywords if k.arg}
                summary = (ast.get_docstring(node) or "").split("\n")[0]
                found.append((ast.literal_eval(call.args[0]), summary, keywords))
    return found


def _about(path: Path) -> _About:
    """What a file says. Raises UsageError: it is no Python, or cannot be read."""
    if path not in _known:
        _learn([*(_used or ()), path])
    known = _known[path]
    if isinstance(known, UsageError):
        raise known
    return known


def _learn(files: Iterable[Path]) -> None:
    """Read files; what they say is remembered in the user's cache, or hundreds of them would be parsed at each start."""
    with Remembered("plugins.json", _how()) as memory:
        for path in files:
            try:
                _known[path] = memory(path, _read)
            except OSError as error:
                _known[path] = UsageError(f"{path}: cannot be read: {error}")
            except UsageError as error:
                _known[path] = error


def _read(path: Path) -> _About:
    tree = parse(path)
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom) and not node.level]
    names = ((node.module, alias) for node in imports for alias in node.names)
    package = next((module for module, alias in names if alias.name == "register" and alias.asname is None), None)
    try:
        return package, [(name, summary, repr(keywords)) for name, summary, keywords in heads_of(tree)], ""
    except (ValueError, IndexError, TypeError) as error:
        return package, [], str(error) or type(error).__name__


@cache
def _how() -> str:
    """What reads the files: when it changes, what was remembered of them is void."""
    return durable.sha256(Path(__file__))


def parse(path: Path) -> ast.Module:
    """The file's syntax tree. Raises UsageError with the line that is no Python."""
    try:
        return ast.parse(importlib.util.decode_source(path.read_bytes()), str(path))
    except SyntaxError as error:
        raise UsageError(f"{path}:{error.lineno or 1}: this is no Python: {error.msg}") from None
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from None


def module_name(path: Path) -> str:
    """Under which a file is imported: another one when a file of its folder has changed."""
    if path.parent not in _digests:
        stats = [(file.name, file.stat()) for file in _python_files(path.parent)]
        stamps = [(name, stat.st_mtime_ns, stat.st_size) for name, stat in stats]
        _digests[path.parent] = hashlib.sha256(repr((str(path.parent), stamps)).encode()).hexdigest()[:12]
    return f"{_PREFIX}{_digests[path.parent]}.{path.stem}"


def load(name: str, path: Path) -> None:
    """Import a file under its `module_name`, once. Raises UsageError with the line at which its code fails."""
    _surround(name, path)
    try:
        importlib.import_module(name)
    except Exception as error:
        raise UsageError(
            f"{_place(error, path)}: importing this plug-in failed: {type(error).__name__}: {error}"
        ) from error


def announce() -> None:
    """Let the files in use be imported by their `module_name`, as data does that another process has pickled."""
    for path in used():
        _surround(module_name(path), path)


def _surround(name: str, path: Path) -> None:
    """The package that a file's module seems to be in."""
    parent = name.partition(".")[0]
    if parent not in sys.modules:
        around = ModuleType(parent)
        around.__path__ = [str(path.parent)]
        sys.modules[parent] = around


def _place(error: Exception, path: Path) -> str:
    """The innermost line of the plug-in's folder that an error came through."""
    place, trace = str(path), error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).parent == path.parent:
            place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
