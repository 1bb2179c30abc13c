"""Mappings to frozen dataclasses and back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from mico_runner.errors import UsageError
from mico_runner.frozen_data import build, plain


@dataclass(frozen=True)
class Inner:
    size: int
    more: float | None = None


@dataclass(frozen=True)
class Outer:
    name: str | None
    inner: Inner
    many: tuple[Inner, ...]
    pair: tuple[float, int]
    either: str | tuple[str, ...]
    named: Mapping[str, Inner]
    free: Mapping[str, Any]


DATA = {
    "name": None,
    "inner": {"size": 1},
    "many": [{"size": 2, "more": 0.5}],
    "pair": [1.5, 8],
    "either": ["a", "b"],
    "named": {"x": {"size": 3}},
    "free": {"list": [1, [2]]},
}


def test_there_and_back():
    found = build(Outer, DATA)
    assert found.inner == Inner(1) and found.many == (Inner(2, 0.5),) and found.named == {"x": Inner(3)}
    assert found.pair == (1.5, 8) and found.either == ("a", "b") and found.free == {"list": [1, [2]]}
    assert plain(found) == DATA and list(plain(found)) == list(DATA)
    assert build(Outer, {**DATA, "either": "a"}).either == "a"
    assert plain({"some": [Inner(1)]}) == {"some": [{"size": 1}]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inner": {}}, r"^inner\.size is missing; needed: size, more$"),
        ({"many": [{"size": 1}, {"size": 1, "last": 0}]}, r"^many\[1\]\.last: unknown key; allowed: size, more$"),
        ({"other": 1}, r"^other: unknown key; allowed: name, inner"),
    ],
)
def test_wrong_keys_are_named(change, message):
    with pytest.raises(UsageError, match=message):
        build(Outer, DATA | change)
