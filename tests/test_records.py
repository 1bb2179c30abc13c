"""Frozen dataclasses with shared methods do what those of the standard library do."""

import dataclasses
import pickle

import pytest

from mico_runner.records import dataclass


@dataclass(frozen=True)
class Shared:
    size: int
    more: float | None = None


@dataclass(frozen=True)
class Wider(Shared):
    name: str = "a"


@dataclasses.dataclass(frozen=True)
class Compiled:
    size: int
    more: float | None = None


@dataclasses.dataclass(frozen=True)
class Below(Shared):
    last: int = 3


def test_they_are_what_the_standard_librarys_are():
    ours, theirs = Shared(1, more=2.0), Compiled(1, more=2.0)
    assert repr(ours) == repr(theirs).replace("Compiled", "Shared")
    assert hash(ours) == hash(theirs) and dataclasses.asdict(ours) == dataclasses.asdict(theirs)
    assert ours == Shared(more=2.0, size=1) != Shared(1) and ours != theirs and ours != Wider(1, 2.0)
    assert dataclasses.replace(ours, size=5) == Shared(5, 2.0)
    assert pickle.loads(pickle.dumps(ours)) == ours
    assert Wider(1, name="b") == Wider(1, None, "b") and Below(1, last=4).last == 4


@pytest.mark.parametrize("form", [Shared, Compiled, Below])
def test_nobody_changes_them(form):
    made = form(1)
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'size'"):
        made.size = 2
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'size'"):
        del made.size


@pytest.mark.parametrize(
    ("values", "named", "message"),
    [
        ((), {}, "needs a value of 'size'"),
        ((1, 2.0, 3), {}, "takes 2 values, got 3"),
        ((1,), {"size": 1}, "got two values of 'size'"),
        ((1,), {"other": 1}, "has no field 'other'"),
    ],
)
def test_wrong_values_are_refused(values, named, message):
    with pytest.raises(TypeError, match=message):
        Shared(*values, **named)
    with pytest.raises(TypeError):
        Compiled(*values, **named)
