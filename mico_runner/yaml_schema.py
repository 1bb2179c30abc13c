"""Cerberus with located errors: every problem of a document at once, each with file, line, key path, found, allowed, nearest name."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import cerberus
from cerberus import errors as codes
from cerberus.schema import DefinitionSchema, UnvalidatedSchema

from mico_runner.errors import UsageError, did_you_mean
from mico_runner.yaml_source import Keys, Place, Source

SHOWN = 60  # characters of a found value in a message
LARGEST = 2**63 - 1  # whole numbers beyond do not fit what reads them

Rules = Mapping[str, object]  # of Cerberus: "type", "schema", "min" .., which have no types of their own


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        place: where it is written.
        path: keys that lead to it.
        text: what was found and what is allowed.
    """

    place: Place
    path: Keys
    text: str

    def to_json(self) -> dict[str, object]:
        """{"file", "line", "column", "path", "text"}; line and column are null for a command-line override."""
        return {
            "file": self.place.label,
            "line": self.place.line,
            "column": self.place.column,
            "path": dotted(self.path),
            "text": self.text,
        }

    def __str__(self) -> str:
        return f"{self.place}: {dotted(self.path)}: {self.text}" if self.path else f"{self.place}: {self.text}"


class SchemaErrors(UsageError):
    """All problems of one document, a line each."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(
            problems, key=lambda p: (p.place.label, p.place.line or 0, p.place.column or 0, dotted(p.path))
        )
        super().__init__("\n".join(dict.fromkeys(str(p) for p in self.problems)))


def dotted(path: Keys) -> str:
    """`("a", 0, "b.c")` as `a[0].'b.c'`."""
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            text += ("." if text else "") + (key if re.fullmatch(r"[\w+-]+", key) else repr(key))
    return text


def show(value: Any) -> str:
    """A found value as a message shows it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    text = repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


class Validator(cerberus.Validator):  # type: ignore[misc]  # Cerberus brings no types
    """Booleans are not numbers; patterns match the whole text; `above` is an open lower bound; `distinct` forbids repetition."""

    types_mapping: ClassVar = {
        **cerberus.Validator.types_mapping,
        "integer": cerberus.TypeDefinition("integer", (int,), (bool,)),
        "float": cerberus.TypeDefinition("float", (float, int), (bool,)),
        "number": cerberus.TypeDefinition("number", (float, int), (bool,)),
    }

    def _error(self, *args: Any) -> None:
        """Cerberus sorts and files all errors at every new one, minutes for some thousands; `SchemaErrors` sorts them once."""
        if len(args) == 1:
            self._errors.extend(args[0])
        else:
            super()._error(*args)

    def _validate_above(self, limit: float, field: str, value: Any) -> None:
        """{'type': 'number'}"""
        if value is not None and not value > limit:
            self._error(field, "above")

    def _validate_distinct(self, wanted: bool, field: str, value: Any) -> None:
        """{'type': 'boolean'}"""
        if wanted and value is not None and any(item in value[:i] for i, item in enumerate(value)):
            self._error(field, "repeated")

    def _validate_regex(self, pattern: str, field: str, value: Any) -> None:
        """{'type': 'string'}"""
        if not re.fullmatch(pattern, value):
            self._error(field, codes.REGEX_MISMATCH)


class _Trusting(Validator):
    """Does not check the rules themselves, which takes longer than the document: ours are checked by tests, a plug-in's when it is read."""

    @property
    def schema(self) -> Any:
        return self._schema

    @schema.setter
    def schema(self, schema: Any) -> None:
        trusted = schema is None or isinstance(schema, DefinitionSchema)
        self._schema = schema if trusted else UnvalidatedSchema(schema)


def check(source: Source, schema: Rules) -> dict[str, object]:
    """The document with the schema's defaults filled in.

    Args:
        schema: Cerberus rules. `meta: {"text": ...}` says what is allowed where the rules alone would not be clear.

    Raises:
        SchemaErrors: all problems at once.
    """
    if not isinstance(source.data, dict):
        found = "an empty document" if source.data is None else show(source.data)
        raise SchemaErrors([Problem(source.place(()), (), f"found {found}; allowed: a mapping of {', '.join(schema)}")])
    unusable = list(_unusable_numbers(source, source.data, ()))
    data, problems = check_part(source, (), source.data, schema)
    problems = unusable + [p for p in problems if p.path not in {u.path for u in unusable}]
    if problems:
        raise SchemaErrors(problems)
    return data


def check_part(
    source: Source, path: Keys, part: dict[str, object], schema: Rules
) -> tuple[dict[str, object], list[Problem]]:
    """A mapping somewhere in the document: with defaults filled in, and its problems."""
    validator = _Trusting(schema, allow_unknown=False)
    validator.validate(part, normalize=False)  # Cerberus fills in defaults only where the form is right already
    found: dict[Keys, Problem] = {}
    for error in _leaves(validator._errors):
        where = (*path, *error.document_path)
        found.setdefault(where, _problem(source, where, error, schema))
    return part if found else validator.normalized(part), list(found.values())


def _unusable_numbers(source: Source, value: Any, path: Keys) -> Iterator[Problem]:
    """NaN compares false with every bound and infinity is above most: neither is ever meant."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _unusable_numbers(source, item, (*path, key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _unusable_numbers(source, item, (*path, i))
    elif isinstance(value, float) and not math.isfinite(value):
        yield Problem(source.place(path), path, f"found {value}; allowed: a finite number")
    elif isinstance(value, int) and abs(value) > LARGEST:
        yield Problem(source.place(path), path, "found a whole number beyond 64 bits; allowed: at most 64 bits")


def _leaves(errors: Iterable[Any]) -> Iterator[Any]:
    """The errors themselves instead of the containers that they are in."""
    for error in errors:
        if error.is_group_error and not error.is_logic_error:
            yield from _leaves(error.child_errors)
        else:
            yield error


def _problem(source: Source, path: Keys, error: Any, schema: Rules) -> Problem:
    if error.code == codes.UNKNOWN_FIELD.code:
        known = list(_parent_rules(schema, error.document_path[:-1]))
        text = f"unknown key; allowed: {', '.join(known) or 'none'}{_near(path[-1], known)}"
        return Problem(source.place(path, of_key=True), path, text)
    rules = _rules_at(schema, error.document_path)
    if error.code == codes.REQUIRED_FIELD.code:
        return Problem(source.place(path), path, f"missing; allowed: {describe(rules)}")
    is_key = "keysrules" in error.schema_path
    value = path[-1] if is_key else error.value
    rules = rules if not is_key else _rules_at(schema, error.document_path[:-1])["keysrules"]
    near = _near(value, rules.get("allowed", ()))
    return Problem(source.place(path, of_key=is_key), path, f"found {show(value)}; allowed: {describe(rules)}{near}")


def _near(value: Any, known: Iterable[Any]) -> str:
    return did_you_mean(value, [str(k) for k in known]).rstrip(";") if isinstance(value, str) else ""


def _rules_at(schema: Rules, path: Keys) -> dict[str, Any]:
    """The rules of the value at a path of the document."""
    rules: dict[str, Any] = {"type": "dict", "schema": schema}
    for key in path:
        if isinstance(key, str) and key in rules.get("schema", {}) and rules.get("type") != "list":
            rules = rules["schema"][key]
        elif isinstance(key, int):
            rules = rules["schema"]
        else:
            rules = rules.get("valuesrules", {})  # without rules of their own: values that are checked elsewhere
    return rules


def _parent_rules(schema: Rules, path: Keys) -> dict[str, Any]:
    below: dict[str, Any] = _rules_at(schema, path)["schema"]
    return below


_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "float": "a number",
    "boolean": "true or false",
    "list": "a list",
    "dict": "a mapping",
}


def describe(rules: Rules) -> str:
    """What rules allow, in words."""
    return _described(dict(rules))


def _described(rules: dict[str, Any]) -> str:
    if "text" in rules.get("meta", {}):
        text = rules["meta"]["text"]
    elif "allowed" in rules:
        text = ", ".join(map(str, rules["allowed"]))
        text = text if len(rules["allowed"]) == 1 else f"one of {text}"
    elif "anyof" in rules:
        text = " or ".join(_described(option) for option in rules["anyof"])
    else:
        text = _describe_type(rules)
    return f"{text} or null" if rules.get("nullable") else text


def _length(shortest: int, longest: int | None) -> str:
    if longest is not None:
        return (
            f" of {shortest}"
            if shortest == longest
            else f" of {shortest} to {longest}"
            if shortest
            else f" of at most {longest}"
        )
    return f" of at least {shortest}" if shortest > 1 else ", not empty" if shortest else ""


def _describe_type(rules: dict[str, Any]) -> str:
    if isinstance(rules["type"], list):
        return " or ".join(_describe_type({**rules, "type": kind}) for kind in rules["type"])
    text = _TYPES[rules["type"]]
    if rules["type"] == "dict" and "schema" in rules:
        text += f" of {', '.join(rules['schema'])}"
    if rules["type"] in ("dict", "string"):
        text += _length(rules.get("minlength", 0), rules.get("maxlength"))
    if rules["type"] == "list":
        shortest, longest = rules.get("minlength", 0), rules.get("maxlength")
        text += _length(shortest, longest)
        text += ", without repetition" if rules.get("distinct") else ""
        text += f", each {_described(rules['schema'])}" if "schema" in rules else ""
    if "min" in rules and "max" in rules:
        text += f" from {rules['min']} to {rules['max']}"
    elif "min" in rules:
        text += f", at least {rules['min']}"
    elif "above" in rules:
        text += f" above {rules['above']}"
        text += f", at most {rules['max']}" if "max" in rules else ""
    elif "max" in rules:
        text += f", at most {rules['max']}"
    return text
