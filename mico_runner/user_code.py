"""Python files of a user's own that make something: a network, data.

The file is run as `python nets/kws.py` would run it, but under its own name: modules beside it, in the packages around it and in the
folder above are imported by their plain names. Each run reads all of these files again.
"""

from __future__ import annotations

import ast
import importlib
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from mico_runner import plugins
from mico_runner.errors import UsageError, did_you_mean

_loaded: dict[str, ModuleType] = {}  # modules of a user's own that the last run left in `sys.modules`


EVERY_NAME = "*"  # among a file's entries: it imports all names of another file


def entries(file: Path) -> list[str]:
    """Names of a file, outside its functions and classes, whose call may make something, in order. The file is read, not run.

    Raises UsageError: it is no Python.
    """
    return list(dict.fromkeys(_bound(plugins.parse(file).body)))


def _bound(statements: Iterable[ast.AST]) -> Iterator[str]:
    for statement in statements:
        if isinstance(statement, ast.ClassDef | ast.FunctionDef):
            yield statement.name
        elif isinstance(statement, ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in statement.names)
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            yield from (n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name))
        else:
            for inner in ("body", "handlers", "orelse", "finalbody"):  # of if, try, with
                yield from _bound(getattr(statement, inner, ()))


@contextmanager
def running(file: Path, entry: str) -> Iterator[Any]:
    """Run the file; what its entry is, while the modules of its project can be imported.

    Raises UsageError with the line at which the file fails, or that it has no such entry.
    """
    with _settings_kept(), _imported(file) as module:
        found = getattr(module, entry, None)
        if found is None:
            raise UsageError(f"{file} has no {entry!r}{did_you_mean(entry, entries(file)).rstrip(';')}")
        yield found


def called(file: Path, entry: str, found: Any, params: Mapping[str, object]) -> Any:
    """What the entry of a running file returns. Raises UsageError with the line of the user's own code at which it fails."""
    with failing(file, shown(entry, params)):
        return found(**params)


@contextmanager
def failing(file: Path, what: str) -> Iterator[None]:
    """An error of the user's own code is a UsageError with its line."""
    try:
        yield
    except (Exception, SystemExit) as error:
        raise UsageError(f"{_line(error, file)}: {what} failed: {_text(error)}") from error


def shown(entry: str, params: Mapping[str, object]) -> str:
    """The call in words."""
    return f"{entry}({', '.join(f'{name}={value!r}' for name, value in params.items())})"


@contextmanager
def _settings_kept() -> Iterator[None]:
    """What a user's code may set for the whole process is set back: the runs' own figures depend on it."""
    import torch

    kind, device, gradients = torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled()
    threads, folder = torch.get_num_threads(), os.getcwd()
    try:
        with warnings.catch_warnings():
            yield
    finally:
        torch.set_default_dtype(kind)
        torch.set_default_device(None if device.type == "cpu" else device)
        torch.set_grad_enabled(gradients)
        torch.set_num_threads(threads)
        os.chdir(folder)


@contextmanager
def _imported(file: Path) -> Iterator[object]:
    """The file as a module, run anew with all modules of the user's own that it imports."""
    name, places = module_name(file)
    for each, module in _loaded.items():
        if sys.modules.get(each) is module:
            del sys.modules[each]
    _loaded.clear()
    path = list(sys.path)
    sys.path[:0] = [str(place) for place in places]
    importlib.invalidate_caches()
    shadowed = {key: module for key, module in sys.modules.items() if key.partition(".")[0] == name.partition(".")[0]}
    for each in shadowed:  # of another library: the user's own comes first, as it would in a program
        del sys.modules[each]
    before = set(sys.modules)
    try:
        try:
            module = importlib.import_module(name)
        except (Exception, SystemExit) as error:
            text = f"{_line(error, file)}: running this file failed: {_text(error)}{_searched(error, places)}"
            raise UsageError(text) from error
        yield module
    finally:
        sys.path[:] = path
        new = {each: module for each, module in sys.modules.items() if each not in before}
        _loaded.update({each: module for each, module in new.items() if _is_own(module, places)})
        sys.modules.update(shadowed)


def _searched(error: BaseException, places: list[Path]) -> str:
    """Where a module that was not found was looked for."""
    if not isinstance(error, ModuleNotFoundError):
        return ""
    folders = " and ".join(map(str, places))
    return f"; it is neither installed nor in {folders}, nor higher up: an __init__.py makes a folder a package, and the one above counts"


def _is_own(module: ModuleType, places: list[Path]) -> bool:
    origin = getattr(module, "__file__", None)
    return bool(
        origin
        and "site-packages" not in Path(origin).parts
        and any(Path(origin).is_relative_to(place) for place in places)
    )


def module_name(file: Path) -> tuple[str, list[Path]]:
    """The dotted name of a file's module, and the folders in which the modules that it imports are looked for.

    A file in a package, or one that imports relatively, is a module of its folder.

    Raises UsageError: a dot in a name, which would be a package for Python; no Python.
    """
    places = [file.parent]
    parts = [file.stem]
    relative = any(isinstance(n, ast.ImportFrom) and n.level for n in ast.walk(plugins.parse(file)))
    while (places[-1] / "__init__.py").is_file() or (relative and len(parts) == 1):
        parts.insert(0, places[-1].name)
        places.append(places[-1].parent)
    if len(parts) == 1:
        places.append(file.parent.parent)
    if dotted := next((part for part in parts if "." in part), None):
        raise UsageError(f"{file}: Python cannot import {dotted!r}, for its name has a dot in it; rename it")
    return ".".join(parts), places


def _line(error: BaseException, file: Path) -> str:
    """The innermost line of the user's own folder that an error came through."""
    place, trace = str(file), error.__traceback__
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).is_relative_to(file.parent):
            place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def _text(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
