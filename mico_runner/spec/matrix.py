"""A sweep: one spec at every combination of the values of some keys, its axes.

    matrix: {hardware: [bitfusion, host], model.name: [lenet, mlp], seed: 0..9}     # in the spec, or
    mico-run sweep spec.yaml --over hardware=bitfusion,host --over seed=0..9

Every combination is a cell, a spec of its own that is checked as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, count, product
from math import prod
from pathlib import Path
from typing import Any

from mico_runner import yaml_source
from mico_runner.spec.errors import SpecErrors
from mico_runner.spec.loading import Spec, at_keys, load, split_keys
from mico_runner.spec.schema.values import RANGE
from mico_runner.yaml_schema import Problem, show
from mico_runner.yaml_source import Keys, Place, Source, YamlError

MAX_CELLS = 100_000
MAX_LABEL = 150  # characters of a cell's name: a folder is called so


@dataclass(frozen=True)
class Cell:
    """One combination.

    Attributes:
        name: the folder of its results, "hardware-bitfusion_seed-3".
        values: the axes' values as a table shows them.
        spec: what runs; its `matrix` is null.
    """

    name: str
    values: Mapping[str, str | int | float]
    spec: Spec

    @property
    def data(self) -> dict[str, object]:
        return self.spec.data


@dataclass(frozen=True)
class Sweep:
    """All combinations.

    Attributes:
        base: the spec without them.
        axes: dotted key of the spec -> labels of its values, in order.
        cells: the last axis varies fastest.
    """

    base: Spec
    axes: Mapping[str, tuple[str | int | float, ...]]
    cells: tuple[Cell, ...]


def sweep(path: str | Path, overrides: Iterable[str] = (), over: Iterable[str] = ()) -> Sweep:
    """The cells of a spec's `matrix` and of further axes; an axis of `over` replaces one of the spec on the same key.

    Args:
        path, overrides: as for `load`.
        over: "key=value,value" each, the values parsed as YAML; "first..last" stands for whole numbers.

    Raises:
        SpecErrors: there is no axis, one has no or repeated values, there are too many cells, or all problems of the first cell that
            has some.
    """
    overrides = list(overrides)
    base = load(path, overrides)
    matrix = base.sections.matrix or {}
    axes = {key: _of_spec(base, key) for key in matrix} | dict(_of_text(text) for text in over)
    if not axes:
        place = base.source.place(())
        text = "missing; allowed: a mapping of keys to lists of values, or --over key=value,value"
        raise SpecErrors([Problem(place, ("matrix",), text)])
    number = prod(len(axis.values) for axis in axes.values())
    if number > MAX_CELLS:
        text = f"found {number} cells; allowed: at most {MAX_CELLS}"
        raise SpecErrors([Problem(base.source.place(("matrix",)), ("matrix",), text)])
    cells: dict[str, Cell] = {}
    for chosen in product(*map(_each, axes.values())):
        cell = _cell(path, overrides, dict(zip(axes, chosen, strict=True)), cells)
        cells[cell.name] = cell
    return Sweep(base, {key: tuple(axis.labels) for key, axis in axes.items()}, tuple(cells.values()))


@dataclass(frozen=True)
class _Axis:
    """A key, its values, each as a source that overrides the spec, and what a table calls them."""

    keys: Keys
    values: list[Source]
    labels: list[str | int | float]


def _each(axis: _Axis) -> list[tuple[Source, str | int | float]]:
    return list(zip(axis.values, axis.labels, strict=True))


def _of_spec(base: Spec, key: str) -> _Axis:
    """An axis of the spec's `matrix`."""
    source, path = base.source, ("matrix", key)
    given = (base.sections.matrix or {})[key]
    if isinstance(given, str):
        return _axis(key, [Source(value, {(): source.place(path)}) for value in _range(given)], source.place(path))
    values = [Source(value, _below(source.values, (*path, i))) for i, value in enumerate(given)]
    return _axis(key, [each for value in values for each in _spelled_out(value)], source.place(path))


def _below(places: Mapping[Keys, Place], path: Keys) -> dict[Keys, Place]:
    return {found[len(path) :]: place for found, place in places.items() if found[: len(path)] == path}


def _of_text(text: str) -> tuple[str, _Axis]:
    """An axis of the command line."""
    place = Place(f"--over {text}")
    key, equals, values = text.partition("=")
    if not equals:
        raise SpecErrors([Problem(place, (), "allowed: key.path=value,value, or key.path=first..last")])
    try:
        found = yaml_source.parse(f"[{values}]", place.label).data
    except YamlError as error:
        raise SpecErrors([Problem(place, (), error.problem)]) from None
    sources = [Source(value, dict.fromkeys(_paths(value, ()), place)) for value in found]
    return key.strip(), _axis(key.strip(), [each for source in sources for each in _spelled_out(source)], place)


def _paths(value: Any, at: Keys) -> list[Keys]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(path for key, item in inside for path in _paths(item, (*at, key)))]


def _spelled_out(value: Source) -> list[Source]:
    """A value, or those of the range that it stands for."""
    if isinstance(value.data, str) and re.fullmatch(RANGE, value.data):
        return [Source(number, value.values) for number in _range(value.data)]
    return [value]


def _range(text: str) -> list[int]:
    first, last = map(int, text.split(".."))
    return list(range(first, last + 1)) if last - first < MAX_CELLS else []


def _axis(key: str, values: list[Source], place: Place) -> _Axis:
    path: Keys = ("matrix", key)
    keys = split_keys(key)
    if keys is None or keys[0] in ("matrix", "name", "spec_version", "executor", "plugins"):
        raise SpecErrors([Problem(place, path, "allowed: the dotted key of a value of the spec, such as model.name")])
    if not values:
        raise SpecErrors([Problem(place, path, f"no value; allowed: 1 to {MAX_CELLS} values")])
    data = [value.data for value in values]
    repeated = [value for i, value in enumerate(data) if value in data[:i]]
    if repeated:
        raise SpecErrors([Problem(place, path, f"found {show(repeated[0])} twice; allowed: each value once")])
    labels = [_label(value, i) for i, value in enumerate(data)]
    short = [Path(label).stem if str(label).endswith((".yaml", ".yml")) else label for label in map(str, labels)]
    if any(str(label) != name for label, name in zip(labels, short, strict=True)) and len(set(short)) == len(short):
        labels = [*short]
    return _Axis(keys, values, labels)


def _label(value: Any, index: int) -> str | int | float:
    """What a table calls a value: itself, a short list of numbers, or for a mapping its place on the axis."""
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return value
    if value is None or isinstance(value, bool):
        return show(value)
    text = re.sub(r"[^0-9a-zA-Z.]+", "-", repr(value)).strip("-")
    return text if isinstance(value, list) and len(text) <= 20 else f"value{index + 1}"


def _cell(
    path: str | Path, overrides: list[str], chosen: dict[str, tuple[Source, str | int | float]], taken: Container[str]
) -> Cell:
    values = {key: label for key, (_, label) in chosen.items()}
    changes = [at_keys(split_keys(key) or (), source) for key, (source, _) in chosen.items()]
    alone = at_keys(("matrix",), Source(None, {(): Place("--over")}))
    return Cell(_name(values, taken), values, load(path, overrides, [*changes, alone]))


def _name(values: Mapping[str, str | int | float], taken: Container[str]) -> str:
    words = [f"{key}-{label}" for key, label in values.items()]
    name = re.sub(r"[^0-9a-zA-Z._-]+", "-", "_".join(words))[:MAX_LABEL].strip(".-")
    numbered = (f"{name}_{number}" for number in count(2))
    return next(each for each in chain([name], numbered) if each not in taken)
