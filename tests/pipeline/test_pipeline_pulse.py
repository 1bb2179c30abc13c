"""The sign of life of a long step."""

import threading

import pytest

from mico_runner.pipeline.pulse import Pulse


def at(*times):
    return iter(times).__next__


def test_what_is_known_is_said():
    assert Pulse("profile", None, clock=at(0, 60)).line() == "  profile: running for 60 s"
    assert Pulse("profile", 170, clock=at(0, 60)).line().endswith("60 s; the last time it took 170 s")
    pulse = Pulse("search", 170, clock=at(0, 10, 50, 70))
    watched = pulse.watch(range(10), None, "networks")
    assert [next(watched) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert pulse.line() == "  search: running for 50 s; networks: 4 of 10; about 60 s left of it"
    assert list(watched) == [5, 6, 7, 8, 9]
    assert "networks" not in pulse.line()


def test_nothing_is_promised_of_what_has_no_length():
    pulse = Pulse("search", None, clock=at(0, 0, 9))
    watched = pulse.watch(iter("ab"), None, "letters")
    next(watched), next(watched)
    assert pulse.line() == "  search: running for 9 s; letters: 1"


def test_it_beats_while_the_step_runs_and_no_longer():
    said, heard = [], threading.Event()

    def say(line):
        said.append(line)
        heard.set()

    with pytest.raises(ZeroDivisionError), Pulse("x", None, every=0.001, say=say):
        assert heard.wait(30)
        raise ZeroDivisionError
    count = len(said)
    assert not [t for t in threading.enumerate() if t.name == "pulse of x"] and len(said) == count > 0
