"""A network in a Python file of the user's own.

    model: {file: nets/kws.py, entry: KWS, params: {width: 0.5}}

The file is run as `python nets/kws.py` would run it, but under its own name: modules beside it, in the packages around it and in the
folder above are imported by their plain names. Each build reads all of these files again.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mico_runner import plugins
from mico_runner.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    import torch

_loaded: dict[str, ModuleType] = {}  # modules of a user's own that the last build left in `sys.modules`


def entries(file: Path) -> list[str]:
    """Names at the top of a file whose call may make a network, in order. The file is read, not run.

    Raises UsageError: it is no Python.
    """
    found: list[str] = []
    for statement in plugins.parse(file).body:
        if isinstance(statement, ast.ClassDef | ast.FunctionDef):
            found.append(statement.name)
        elif isinstance(statement, ast.ImportFrom):
            found += [alias.asname or alias.name for alias in statement.names]
        elif isinstance(statement, ast.Assign):
            found += [target.id for target in statement.targets if isinstance(target, ast.Name)]
    return found


def build(file: Path, entry: str, params: Mapping[str, Any]) -> torch.nn.Module:
    """Run the file and call its entry, a class or a function, with the parameters.

    Raises UsageError, with the line of the user's own code at which it fails, or what was returned instead of a module.
    """
    import torch

    with _imported(file) as module:
        maker: Callable[..., object] | None = getattr(module, entry, None)
        if maker is None:
            raise UsageError(f"{file} has no {entry!r}{did_you_mean(entry, entries(file)).rstrip(';')}")
        try:
            made = maker(**params)
        except Exception as error:
            raise UsageError(f"{_line(error, file)}: {entry}({_shown(params)}) failed: {_text(error)}") from error
    if not isinstance(made, torch.nn.Module):
        raise UsageError(
            f"{file}: {entry}({_shown(params)}) returned {type(made).__name__}; allowed: a torch.nn.Module"
        )
    return made


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
        except Exception as error:
            raise UsageError(f"{_line(error, file)}: running this file failed: {_text(error)}") from error
        yield module
    finally:
        sys.path[:] = path
        new = {each: module for each, module in sys.modules.items() if each not in before}
        _loaded.update({each: module for each, module in new.items() if _is_own(module, places)})
        sys.modules.update(shadowed)


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
    """
    places = [file.parent]
    parts = [file.stem]
    relative = any(isinstance(n, ast.ImportFrom) and n.level for n in ast.walk(plugins.parse(file)))
    while (places[-1] / "__init__.py").is_file() or (relative and len(parts) == 1):
        parts.insert(0, places[-1].name)
        places.append(places[-1].parent)
    if len(parts) == 1:
        places.append(file.parent.parent)
    return ".".join(parts), places


def _line(error: Exception, file: Path) -> str:
    """The innermost line of the user's own folder that an error came through."""
    place, trace = str(file), error.__traceback__
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).is_relative_to(file.parent):
            place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def _shown(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in params.items())


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
