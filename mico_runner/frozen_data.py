"""Validated data as frozen dataclasses, and back: mappings become instances, lists tuples, and nothing else is touched.

A field whose default is None stands for a key that may be absent, and is left out again by `plain`; a key that may be null has no default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from mico_runner.errors import UsageError

Form = TypeVar("Form")


def build(form: type[Form], data: Mapping[str, object], at: str = "") -> Form:
    """An instance of a dataclass, with all that it contains, from data of its form.

    Args:
        at: keys that lead to the data, for messages.

    Raises UsageError for a key that is missing or that the form does not have.
    """
    kinds = _kinds(form)  # type: ignore[arg-type]  # a class is hashable, which mypy does not see
    values = {}
    for name, (kind, required) in kinds.items():
        if name in data:
            values[name] = _value(kind, data[name], f"{at}.{name}".lstrip("."))
        elif required:
            raise UsageError(f"{at}.{name} is missing; needed: {', '.join(kinds)}".lstrip("."))
    for name in data:
        if name not in kinds:
            raise UsageError(f"{at}.{name}: unknown key; allowed: {', '.join(kinds)}".lstrip("."))
    return form(**values)


def plain(value: Any) -> Any:
    """The data that `build` made instances of, in JSON's types; mappings and lists are looked into."""
    if is_dataclass(value) and not isinstance(value, type):
        found = ((field, getattr(value, field.name)) for field in fields(value))
        return {field.name: plain(item) for field, item in found if item is not None or field.default is not None}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


@cache
def _kinds(form: type[Any]) -> dict[str, tuple[Any, bool]]:
    """The type of each field, and whether its key has to be there."""
    hints = get_type_hints(form)
    return {field.name: (hints[field.name], field.default is MISSING) for field in fields(form)}


def _value(kind: Any, value: Any, at: str) -> Any:
    for option in get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,):
        parts = get_args(option)
        if isinstance(value, Mapping):
            if is_dataclass(option):
                return build(option, value, at)  # type: ignore[arg-type]
            if get_origin(option) is Mapping:
                return {key: _value(parts[1], item, f"{at}.{key}") for key, item in value.items()}
        if isinstance(value, list | tuple) and get_origin(option) is tuple:
            each = parts[:1] * len(value) if parts[1:] == (...,) else parts
            return tuple(
                _value(part, item, f"{at}[{i}]") for i, (part, item) in enumerate(zip(each, value, strict=True))
            )
    return value
