"""Frozen dataclasses that are made in a fifth of the time: their methods are shared, where `dataclasses` compiles some for each class.

    from mico_runner.records import dataclass

    @dataclass(frozen=True)
    class Budget:
        evaluations: int

A spec has some sixty sections, and a command that answers at once makes all of their classes. Instances are made more slowly than those
of a compiled `__init__`, so that what exists by the thousand stays a dataclass of the standard library. `fields`, `replace`, pickles,
equality and inheritance are those of dataclasses.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass

_Class = TypeVar("_Class", bound=type)


def _init(self: Any, *values: object, **named: object) -> None:
    fields = dataclasses.fields(self)
    if len(values) > len(fields):
        raise TypeError(f"{type(self).__name__} takes {len(fields)} values, got {len(values)}")
    for field, value in zip(fields, values, strict=False):
        if field.name in named:
            raise TypeError(f"{type(self).__name__} got two values of {field.name!r}")
        named[field.name] = value
    for field in fields:
        if field.name in named:
            value = named.pop(field.name)
        elif field.default is not dataclasses.MISSING:
            value = field.default
        elif field.default_factory is not dataclasses.MISSING:
            value = field.default_factory()
        else:
            raise TypeError(f"{type(self).__name__} needs a value of {field.name!r}")
        object.__setattr__(self, field.name, value)
    if named:
        raise TypeError(f"{type(self).__name__} has no field {next(iter(named))!r}")


def _set(self: object, name: str, value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _delete(self: object, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _values(of: Any) -> tuple[object, ...]:
    return tuple(getattr(of, field.name) for field in dataclasses.fields(of))


def _equal(self: object, other: object) -> bool:
    return _values(self) == _values(other) if other.__class__ is self.__class__ else NotImplemented


def _hash(self: object) -> int:
    return hash(_values(self))


def _shown(self: Any) -> str:
    values = ", ".join(f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self))
    return f"{type(self).__qualname__}({values})"


_METHODS = {
    "__init__": _init,
    "__setattr__": _set,
    "__delattr__": _delete,
    "__eq__": _equal,
    "__hash__": _hash,
    "__repr__": _shown,
}

if not TYPE_CHECKING:

    def dataclass(*, frozen: bool) -> Any:
        """As `dataclasses.dataclass(frozen=True)`, for classes without `__post_init__` and without options of single fields."""
        assert frozen, "what may be changed is a dataclass of the standard library"

        def made(cls: _Class) -> _Class:
            own = {name for name in _METHODS if cls.__dict__.get(name)}
            inherits = any(dataclasses.is_dataclass(base) for base in cls.__mro__[1:])  # which must be frozen, too
            dataclasses.dataclass(init=False, repr=False, eq=False, frozen=inherits)(cls)
            for name, method in _METHODS.items():
                if name not in own:
                    setattr(cls, name, method)
            cls.__dataclass_params__.frozen = True  # so that frozen dataclasses may inherit from it
            return cls

        return made
