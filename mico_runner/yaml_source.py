"""YAML with positions: plain data, and the file, line and column that each key and value came from.

YAML 1.2's core schema: `1e-3` is a number, only `true` and `false` are booleans, dates and sexagesimal numbers are text. Refused, with
their position: duplicate keys, keys that are not text, tags, several documents, and text that grows beyond what a person writes.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from mico_runner.errors import UsageError

Key = str | int
Keys = tuple[Key, ...]

MAX_BYTES = 512 * 1024
MAX_DEPTH = 32
MAX_NODES = 50_000  # aliases counted as often as they are used: a "billion laughs" ends here

TAG = "tag:yaml.org,2002:"
# https://yaml.org/spec/1.2.2/#1032-tag-resolution
_CORE = [
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
]


@dataclass(frozen=True)
class Place:
    """Where a key or value was written.

    Attributes:
        line: None for what has no lines (a command-line override).
        instead_of: where that was written which an override replaces, or what is around it.
    """

    label: str
    line: int | None = None
    column: int | None = None
    instead_of: str = ""

    def __str__(self) -> str:
        if self.instead_of:
            return f"{self.label} (in place of {self.instead_of})"
        return self.label if self.line is None else f"{self.label}:{self.line}:{self.column}"


class YamlError(UsageError):
    """The text is not the YAML we read; the message starts with the place."""

    def __init__(self, place: Place, problem: str) -> None:
        self.place, self.problem = place, problem
        super().__init__(f"{place}: {problem}")


@dataclass
class Source:
    """Data and the places of its parts, by the keys that lead to them.

    Attributes:
        data: dict, list, str, int, float, bool or None.
        values, keys: places of values and of the keys that hold them.
    """

    data: Any
    values: dict[Keys, Place] = field(default_factory=dict)
    keys: dict[Keys, Place] = field(default_factory=dict)

    def place(self, path: Keys, of_key: bool = False) -> Place:
        """Where the value (or its key) at `path` was written; of the nearest thing around it when it is absent."""
        if of_key and path in self.keys:
            return self.keys[path]
        while path and path not in self.values:
            path = path[:-1]
        return self.values[path]

    def overlay(self, upper: Source) -> Source:
        """Both merged: `upper` wins, mappings merge, all else is replaced whole."""
        joined: set[Keys] = set()  # mappings of both
        replaced: set[Keys] = set()
        data = _merge(self.data, upper.data, (), joined, replaced)

        def from_lower(path: Keys) -> bool:
            return not any(path[:length] in replaced for length in range(len(path) + 1))

        def from_upper(path: Keys) -> bool:  # an override writes only what it ends in, not what it leads through
            return path not in joined or upper.values[path].line is not None

        merged = Source(data)
        for place, lower, higher in ((merged.values, self.values, upper.values), (merged.keys, self.keys, upper.keys)):
            place.update({path: where for path, where in lower.items() if from_lower(path)})
            place.update({path: where for path, where in higher.items() if from_upper(path)})
        return merged


def _merge(lower: Any, upper: Any, path: Keys, joined: set[Keys], replaced: set[Keys]) -> Any:
    """The merged data; notes the paths at which both are mappings, and those at which `upper` replaces whatever there is."""
    if not isinstance(lower, dict) or not isinstance(upper, dict):
        replaced.add(path)
        return upper
    joined.add(path)
    return {**lower, **{k: _merge(lower.get(k), value, (*path, k), joined, replaced) for k, value in upper.items()}}


def read(path: Path, label: str | None = None) -> Source:
    """The one document of a file.

    Args:
        label: what messages call the file; the path as given by default.

    Raises:
        YamlError: the file cannot be read, is no UTF-8 text, or no YAML as described above.
    """
    return parse(read_text(path, label), label or str(path))


def read_text(path: Path, label: str | None = None) -> str:
    """The text of a file that is to hold YAML. Takes what `read` does; raises YamlError: the file cannot be read, or is no UTF-8 text."""
    label = label or str(path)
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise YamlError(Place(label), "is no regular file")
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise YamlError(Place(label), f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(raw) > MAX_BYTES:
        raise YamlError(Place(label), f"larger than {MAX_BYTES // 1024} KiB")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        raise YamlError(Place(label, line, column), "not UTF-8 text") from None


def parse(text: str, label: str) -> Source:
    """The one document of a text; data is None when it is empty. Raises YamlError."""
    found = _parse(text, label)
    return Source(copy.deepcopy(found.data), {**found.values}, {**found.keys})


@lru_cache(maxsize=8)  # every cell of a sweep reads the same two files
def _parse(text: str, label: str) -> Source:
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        place = Place(label, before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise YamlError(place, f"character #x{ord(text[error.position]):04x} is not allowed") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = ", ".join(part for part in (error.context, error.problem) if part)
        raise YamlError(_place(mark, label), f"not YAML: {problem}") from None
    except (ValueError, OverflowError):  # an escape such as "\UFFFFFFFF"
        raise YamlError(_place(loader.get_mark(), label) if loader else Place(label), "not YAML: bad escape") from None
    builder = _Builder(label)
    if node is None:
        builder.source.values[()] = Place(label, 1, 1)
        return builder.source
    builder.source.data = builder.build(node, ())
    return builder.source


def _place(mark: yaml.Mark | None, label: str) -> Place:
    return Place(label) if mark is None else Place(label, mark.line + 1, mark.column + 1)


class Resolver(yaml.resolver.BaseResolver):
    """Which plain scalars are numbers, booleans or null."""


for _name, _regex, _first in _CORE:
    Resolver.add_implicit_resolver(TAG + _name, re.compile(f"^(?:{_regex})$"), _first)


class _Loader(yaml.reader.Reader, yaml.scanner.Scanner, yaml.parser.Parser, yaml.composer.Composer, Resolver):
    """PyYAML's safe parts up to the node graph, with a bound on nesting."""

    def __init__(self, text: str) -> None:
        yaml.reader.Reader.__init__(self, text)
        yaml.scanner.Scanner.__init__(self)
        yaml.parser.Parser.__init__(self)
        yaml.composer.Composer.__init__(self)
        Resolver.__init__(self)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # the stubs leave it untyped
            raise yaml.MarkedYAMLError(None, None, f"nested deeper than {MAX_DEPTH} levels", mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


class _Builder:
    """Node graph to data and places."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.source = Source(None)
        self._nodes = 0

    def build(self, node: yaml.Node, path: Keys) -> Any:
        place = _place(node.start_mark, self.label)
        self.source.values[path] = place
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise YamlError(place, f"more than {MAX_NODES} values, aliases counted as often as they are used")
        if len(path) > MAX_DEPTH:
            raise YamlError(place, f"nested deeper than {MAX_DEPTH} levels")
        kind = node.tag.removeprefix(TAG)
        if isinstance(node, yaml.MappingNode) and kind == "map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and kind == "seq":
            return [self.build(item, (*path, i)) for i, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, kind, place)
        raise YamlError(place, f"tag {node.tag!r} is not allowed")

    def _mapping(self, node: yaml.MappingNode, path: Keys) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            place = _place(key_node.start_mark, self.label)
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != TAG + "str":
                shown = repr(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "a collection"
                raise YamlError(place, f"the key {shown} is not text; put it in quotes if it is meant as text")
            key = self._scalar(key_node, "str", place)
            if key in result:
                first = self.source.keys[(*path, key)]
                raise YamlError(place, f"duplicate key {key!r}, first at line {first.line}")
            self.source.keys[(*path, key)] = place
            result[key] = self.build(value_node, (*path, key))
        return result

    def _scalar(self, node: yaml.ScalarNode, kind: str, place: Place) -> Any:
        text = node.value
        try:
            if kind == "str":
                text.encode("utf-8")  # an escaped half of a surrogate pair cannot be written again
                if "\0" in text:
                    raise ValueError
                return text
            return _CONSTRUCT[kind](text)
        except KeyError:
            raise YamlError(place, f"tag {node.tag!r} is not allowed") from None
        except ValueError:
            raise YamlError(place, f"{text[:40]!r} cannot be read as {kind}") from None


def _integer(text: str) -> int:
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


def _float(text: str) -> float:
    return float(
        text.replace(".inf", "inf").replace(".Inf", "inf").replace(".INF", "inf").replace(".n", "n").replace(".N", "n")
    )


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError
    return text.lower() == "true"


_CONSTRUCT = {"null": lambda text: None, "bool": _boolean, "int": _integer, "float": _float}
