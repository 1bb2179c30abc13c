"""What a running step executes of this project, and which keys of the spec it reads."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any

from mico_runner import paths

PACKAGE = f"{paths.PACKAGE}/"


class Traced(dict):
    """A mapping of a spec that notes, in `seen`, the path of every value that is read; a list counts as one value."""

    def __init__(self, data: dict[str, Any], seen: set[tuple[str, ...]], at: tuple[str, ...] = ()) -> None:
        super().__init__({k: traced(v, seen, (*at, k)) for k, v in data.items()})
        self._seen, self._at = seen, at

    def _note(self, key: str) -> None:
        if not _is_traced(super().get(key)):
            self._seen.add((*self._at, key))

    def __getitem__(self, key: str) -> Any:
        self._note(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self._note(key)
        return super().get(key, default)

    def items(self):
        for key in self:
            self._note(key)
        return super().items()

    def values(self):
        return [value for _, value in self.items()]

    def keys(self):  # `**section` asks for these, and then for each value
        return super().keys()

    def __iter__(self):  # without one of its own, `**section` would copy the dict and ask for nothing
        return super().__iter__()

    def __or__(self, other):
        return {**self} | other

    def __deepcopy__(self, memo):
        return {key: self[key] for key in self}


def _is_traced(value: Any) -> bool:
    return is_dataclass(value) or isinstance(value, Traced)


def traced(value: Any, seen: set[tuple[str, ...]], at: tuple[str, ...] = ()) -> Any:
    """A section of a spec that notes, in `seen`, the path of every value that is read; a tuple counts as one value."""
    if isinstance(value, dict):
        return Traced(value, seen, at)
    if not is_dataclass(value):
        return value
    parts = {field.name: traced(getattr(value, field.name), seen, (*at, field.name)) for field in fields(value)}

    class Section(type(value)):
        def __getattribute__(self, name: str) -> Any:
            if name in parts and not _is_traced(parts[name]):
                seen.add((*at, name))
            return super().__getattribute__(name)

    made = object.__new__(Section)
    vars(made).update(parts)
    return made


@contextmanager
def executed(found: set[tuple[str, str]]) -> Iterator[None]:
    """Note (file, top-level name) of all functions of the package that are called; those called by an import are not noted."""
    importing = 0

    def leave(frame, event, _):
        nonlocal importing
        importing -= event == "return"
        return leave

    def watch(frame, event, _):
        nonlocal importing
        code = frame.f_code
        if code.co_name == "<module>":
            importing += 1
            return leave
        if not importing and code.co_filename.startswith(PACKAGE):
            found.add((code.co_filename, code.co_qualname.partition(".")[0]))
        return None

    before = sys.gettrace()
    sys.settrace(watch)
    try:
        yield
    finally:
        sys.settrace(before)
