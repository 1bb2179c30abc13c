"""The sections as types are those of the schema, key by key, and hold what a spec says."""

from collections.abc import Mapping
from dataclasses import MISSING, FrozenInstanceError, fields, is_dataclass
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from mico_runner import paths, spec
from mico_runner.frozen_data import build, plain
from mico_runner.sections import Sections
from mico_runner.spec.schema import sections

SPECS = sorted(paths.shipped("specs").glob("*.yaml"))
LEAVES = {"integer": {int}, "number": {int, float}, "string": {str}, "boolean": {bool}}


def walk(schema, form, at=""):
    """Every key of the schema beside the field of that name."""
    assert is_dataclass(form) and form.__dataclass_params__.frozen, at
    hints, defaults = get_type_hints(form), {field.name: field.default for field in fields(form)}
    schema = {name: rules for name, rules in schema.items() if "same_as" not in rules.get("meta", {})}
    assert set(schema) == set(hints), at
    for name, rules in schema.items():
        yield f"{at}{name}", rules, hints[name], defaults[name]
        for part, kind in below(rules, hints[name]):
            yield from walk(part, kind, f"{at}{name}.")


def below(rules, hint):
    """The mappings of fixed keys in a value, each with the dataclass that it becomes."""
    for each in rules.get("anyof", [rules]):
        if "valuesrules" in each:
            yield from below(each["valuesrules"], get_args(option(hint, Mapping))[1])
        elif each["type"] == "list":
            for part in {part for part in get_args(option(hint, tuple)) if part is not ...}:
                yield from below(each["schema"], part)
        elif each["type"] == "dict" and option(hint, Mapping) is None:
            yield each.get("schema") or each["meta"]["schema"], option(hint, None)
        elif "schema" in each:  # its keys are entries of a registry, each with some of the same fields
            parts = [part["schema"] for part in each["schema"].values()]
            merged = {key: rules | {"required": False} for part in parts for key, rules in part.items()}
            yield merged, get_args(option(hint, Mapping))[1]


def options(hint):
    return get_args(hint) if get_origin(hint) is UnionType else (hint,)


def option(hint, origin):
    """The one of a union's types that is a mapping, a tuple, or for None a dataclass."""
    found = [o for o in options(hint) if (is_dataclass(o) if origin is None else get_origin(o) is origin)]
    return found[0] if found else None


FIELDS = list(walk(sections(), Sections))


@pytest.mark.parametrize(("rules", "hint", "default"), [f[1:] for f in FIELDS], ids=[f[0] for f in FIELDS])
def test_a_field_is_what_its_key_is(rules, hint, default):
    nullable, absent = rules.get("nullable", False), "default" not in rules and not rules.get("required")
    assert (type(None) in options(hint)) == (nullable or absent)
    assert (default is None) == absent
    if default is not None and default is not MISSING:
        wanted = type(default)() if is_dataclass(default) else rules["default"]  # its fields come by themselves
        assert plain(default) == plain(wanted)
    for each in rules.get("anyof", [rules]):
        found = {"list": tuple, "dict": Mapping}.get(each["type"])
        if found:
            assert option(hint, found) or option(hint, None), each
        elif "coerce" not in rules or each["type"] != "string":  # a text that becomes a number
            assert LEAVES[each["type"]] & set(options(hint)), each


def test_the_walk_reaches_what_lies_deep():
    assert {"search.constraints.latency.risk", "verify.devices.batches", "profile.kernels.in_h", "gates.min"} <= {
        name for name, *_ in FIELDS
    }


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_the_sections_hold_all_that_the_spec_says(path):
    data = spec.load(path).data
    found = build(Sections, data)
    assert plain(found) == data
    assert found.datasets.validation == data["datasets"]["validation"]
    with pytest.raises(FrozenInstanceError):
        found.datasets.validation = 0


def test_no_section_is_typed_any():
    loose = [name for name, _, hint, _ in FIELDS if hint is Any or hint is dict]
    assert not loose
