"""YAML as we read it: values of the 1.2 core schema, and the place of each."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mico_runner import yaml_schema, yaml_source, yaml_text
from mico_runner.yaml_source import YamlError

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"))
)
documents = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8", exclude_characters="\0")), inner, max_size=4)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1.0e+6", 1e6),
        (".5", 0.5),
        ("5.", 5.0),
        ("-.inf", -math.inf),
        ("+12", 12),
        ("0x1F", 31),
        ("0o17", 15),
        ("017", 17),
        ("true", True),
        ("off", "off"),
        ("yes", "yes"),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("2020-01-01", "2020-01-01"),
        ("<<", "<<"),
        ("=", "="),
        ("~", None),
        ("", None),
        ("!!str 5", "5"),
    ],
)
def test_scalars(text, value):
    found = yaml_source.parse(f"a: {text}\n", "f").data["a"]
    assert found == value and type(found) is type(value)


def test_a_rule_may_allow_several_types():
    assert yaml_schema.describe({"type": ["string", "list"], "nullable": True}) == "text or a list or null"


def test_not_a_number():
    assert math.isnan(yaml_source.parse(".nan", "f").data)


@given(documents)
def test_what_is_dumped_is_read_back(document):
    found = yaml_source.parse(yaml_text.dump(document), "f").data
    assert found == document and repr(found) == repr(document)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,6}", fullmatch=True), st.integers(0, 10**6), min_size=1), st.booleans())
def test_places_are_where_the_text_is(data, flow):
    body = "".join(f"  {key}: {value}\n" for key, value in data.items())
    text = "{" + ", ".join(f"{k}: {v}" for k, v in data.items()) + "}" if flow else "\n" + body
    text = f"# a comment\nouter: {text}"
    source = yaml_source.parse(text, "f")
    lines = text.split("\n")
    for key, value in data.items():
        for place, wanted in ((source.keys["outer", key], key), (source.values["outer", key], str(value))):
            assert lines[place.line - 1][place.column - 1 :].startswith(wanted)


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda b: b.decode("latin-1")))
def test_any_text_is_data_or_one_located_error(text):
    try:
        source = yaml_source.parse(text, "f")
    except YamlError as error:
        assert str(error).startswith("f") and "\n" not in str(error)
    else:
        assert () in source.values


def test_an_overlay_keeps_the_places_of_both():
    lower = yaml_source.parse("a: {b: 1, c: [1, 2]}\nd: 3", "lower")
    upper = yaml_source.parse("\na:\n  c: [5]", "upper")
    merged = lower.overlay(upper)
    assert merged.data == {"a": {"b": 1, "c": [5]}, "d": 3}
    assert str(merged.place(("a", "b"))) == "lower:1:8"
    assert str(merged.place(("a", "c", 0))) == "upper:3:7"
    assert str(merged.place(("a", "c", 1))) == "upper:3:6", "what was replaced has no place any more"
    assert lower.data == {"a": {"b": 1, "c": [1, 2]}, "d": 3}, "the inputs stay as they are"


def test_a_text_that_was_read_before_gives_data_of_its_own():
    first = yaml_source.parse("a: {b: [1]}", "x.yaml")
    first.data["a"]["b"].append(2)
    first.values.clear()
    again = yaml_source.parse("a: {b: [1]}", "x.yaml")
    assert again.data == {"a": {"b": [1]}} and ("a", "b", 0) in again.values
