"""From a file to a resolved spec: read, merge under it what it extends, override, check, complete."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from pathlib import Path, PurePosixPath
from typing import Any

from mico_runner import paths, yaml_schema, yaml_source
from mico_runner.errors import did_you_mean
from mico_runner.frozen_data import build
from mico_runner.sections import Sections
from mico_runner.spec.complete import complete
from mico_runner.spec.errors import SpecErrors
from mico_runner.spec.files import escapes, is_file
from mico_runner.spec.own_entries import use_plugins
from mico_runner.spec.schema import sections
from mico_runner.yaml_schema import Problem, SchemaErrors, show
from mico_runner.yaml_source import MAX_DEPTH, Keys, Place, Source, YamlError

_KEY = re.compile(r"""'([^']*)'|"([^"]*)"|([^.'"=]+)""")
_FREE = [("gates",), ("search", "constraints"), ("search", "space", "pinned")]  # mappings whose keys are the user's own


@dataclass(frozen=True)
class Spec:
    """A spec that may be run.

    Attributes:
        data: all keys present; the base of `extends` is merged in, so that the data runs again as it is.
        path: the file it was read from.
        source: where everything was written.
        warnings: what looks wrong in the files that the spec names, and may be right.
    """

    data: dict[str, object]
    path: Path
    source: Source
    warnings: tuple[Problem, ...] = ()

    @cached_property
    def sections(self) -> Sections:
        """The data as types."""
        return build(Sections, self.data)

    def locate(self, key_path: str) -> str:
        """`file:line:column` of a value, or of the nearest thing around it that was written: `locate("search.budget")`."""
        return str(self.source.place(split_keys(key_path) or ()))


def load(path: str | Path, overrides: Iterable[str] = (), last: Iterable[Source] = ()) -> Spec:
    """Read, merge, check and complete a spec.

    Args:
        path: of a file; where there is none, of a shipped one: `specs/quickstart.yaml`, `quickstart.yaml` or `quickstart`.
        overrides: "a.b=value" each, the value parsed as YAML; later ones win over earlier ones and over the file.
        last: what wins over all of these.

    Raises:
        SpecErrors: all problems at once. What a section means is checked only when its form is right.
    """
    path = _found(Path(path))
    try:
        source = _merged(path, list(overrides), list(last))
        use_plugins(source, path.parent)
        data, warnings = complete(source, yaml_schema.check(_with_implied(source), sections()), path.parent)
    except YamlError as error:
        raise SpecErrors([Problem(error.place, (), error.problem)]) from None
    except SchemaErrors as error:
        raise SpecErrors(error.problems) from None
    return Spec(data, path, source, tuple(warnings))


def _found(path: Path) -> Path:
    """The file that a user means: their own, else a shipped one; `.yaml` may be left out. Raises SpecErrors."""
    if os.path.lexists(path) and not path.is_dir():
        return path
    if path.is_absolute() or escapes(str(path)):
        return path
    shipped = paths.shipped("specs")
    wanted = path.relative_to("specs") if path.parts[:1] == ("specs",) else path
    for place in (path, shipped / wanted):
        for file in (place, place.with_name(f"{place.name}.yaml")) if place.name else ():
            if is_file(file):
                return file
    known = [file.relative_to(shipped).as_posix() for file in sorted(shipped.rglob("*.yaml"))]
    near = did_you_mean(wanted.as_posix(), known).rstrip(";")
    if near and not path.is_dir():
        raise SpecErrors([Problem(Place(str(path)), (), f"no such file, and no shipped spec of that name{near}")])
    return path


def _with_implied(source: Source) -> Source:
    """Null removes an entry of a free mapping; a model is always quantised, and evaluated unless the spec says null."""
    if not isinstance(source.data, dict):
        return source
    data = copy.deepcopy(source.data)
    for path in _FREE:
        parent: Any = data
        for key in path[:-1]:
            parent = parent.get(key) if isinstance(parent, dict) else None
        if isinstance(parent, dict) and path[-1] in parent:
            entries = parent[path[-1]]
            if isinstance(entries, dict):
                parent[path[-1]] = {key: value for key, value in entries.items() if value is not None}
            elif entries is None:
                parent[path[-1]] = {}
    if isinstance(data.get("model"), dict):
        data.setdefault("evaluate", {})
        data["quantization"] = {} if data.get("quantization") is None else data["quantization"]
    return Source(data, source.values, source.keys)


def _merged(path: Path, overrides: list[str], last: list[Source]) -> Source:
    written = yaml_source.read(path)
    top = reduce(Source.overlay, [*(_override(text, written) for text in overrides), *last], written)
    if not isinstance(top.data, dict) or not isinstance(top.data.get("extends"), str):
        return top  # whatever is wrong with it is the schema's to say
    base = yaml_source.read(_base_path(top, path.parent))
    if not isinstance(base.data, dict):
        problem = f"found {show(base.data)}; allowed: a mapping"
        raise SpecErrors([Problem(base.place(()), (), problem)])
    if base.data.get("extends") is not None:
        problem = "a spec that is extended cannot itself extend another one"
        raise SpecErrors([Problem(base.place(("extends",)), ("extends",), problem)])
    changes = [*(_override(text, base.overlay(written)) for text in overrides), *last]
    return base.overlay(reduce(Source.overlay, changes, written))


def _base_path(top: Source, folder: Path) -> Path:
    """The file that `extends` means: below the spec's folder, else below the shipped specs."""
    wanted: str = top.data["extends"]
    place = top.place(("extends",))
    parts = PurePosixPath(wanted).parts
    if not parts or PurePosixPath(wanted).is_absolute() or escapes(wanted):
        problem = f"found {show(wanted)}; allowed: a path below the spec's folder or the shipped specs, without '..'"
        raise SpecErrors([Problem(place, ("extends",), problem)])
    places = [folder, paths.shipped("specs")]
    for place_to_look in places:
        if is_file(place_to_look / wanted):
            return place_to_look / wanted
    known = [str(p.relative_to(places[1])) for p in sorted(places[1].glob("templates/*.yaml"))]
    looked = " and ".join(map(str, places))
    problem = f"found {show(wanted)}, no file in {looked}; allowed: {', '.join(known)}, or a file of your own"
    raise SpecErrors([Problem(place, ("extends",), problem + did_you_mean(wanted, known).rstrip(";"))])


def _override(text: str, written: Source) -> Source:
    """One `--set`, as a source whose every part was written there, in place of what the files say."""
    name, equals, value = text.partition("=")
    keys = split_keys(name)
    place = Place(f"--set {text}")
    if not equals or not keys:
        problem = "allowed: key.path=value; a key that holds dots in quotes: gates.'search.latency_ratio'.max=0.5"
        raise SpecErrors([Problem(place, (), problem)])
    if len(keys) > MAX_DEPTH:
        raise SpecErrors([Problem(place, (), f"nested deeper than {MAX_DEPTH} levels")])
    try:
        parsed = yaml_source.parse(value, place.label)
    except YamlError as error:
        raise SpecErrors([Problem(place, (), error.problem)]) from None
    if keys in written.values:
        place = Place(place.label, instead_of=str(written.values[keys]))
    return at_keys(keys, Source(parsed.data, dict.fromkeys(parsed.values, place)))


def at_keys(keys: Keys, value: Source) -> Source:
    """A source of one value, at the end of these keys."""
    source = Source(value.data, {(*keys, *path): place for path, place in value.values.items()})
    for depth in range(len(keys), 0, -1):
        source.data = {keys[depth - 1]: source.data}
        source.values[keys[: depth - 1]] = replace(value.values[()], line=None, column=None)
    source.keys = {path: place for path, place in source.values.items() if path}
    return source


def split_keys(text: str) -> Keys | None:
    """`a.'b.c'.d` as ("a", "b.c", "d"); None when it cannot be read so."""
    keys: list[str] = []
    position = 0
    while position <= len(text):
        match = _KEY.match(text, position)
        if not match:
            return None
        keys.append(next(group for group in match.groups() if group is not None).strip())
        position = match.end()
        if position == len(text):
            return tuple(keys)
        if text[position] != ".":
            return None
        position += 1
    return None
