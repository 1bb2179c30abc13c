"""A model beside other people's runs."""

from __future__ import annotations

from mico_runner.reproductions import REPRODUCTIONS
from mico_runner.spec.rules import Rules, choice, free


def reproduce() -> dict[str, Rules]:
    return {
        "runs": choice("the table of runs", REPRODUCTIONS.names(), required=True),
        "params": free("of the reproduction"),
    }
