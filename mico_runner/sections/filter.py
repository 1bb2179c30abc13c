"""Attention of decoders to fewer keys."""

from __future__ import annotations

from mico_runner.records import dataclass


@dataclass(frozen=True)
class FilterUnits:
    """Products of a pair of numbers per cycle, of the unit that filters and of the one that attends to what is left."""

    filter: int
    attend: int


@dataclass(frozen=True)
class Filter:
    """Rounds of scores of few bits, all of which are tried.

    Attributes:
        bits: of queries and keys in a round.
        places: of a round's threshold, in 64ths from the mean of the scores to the greatest, below 0 to the least.
        rounds: at most; a later one has more bits.
        rise: by how many per cent the loss on the validation part may rise.
        samples: of the validation part that the choice is made with.
    """

    bits: tuple[int, ...]
    places: tuple[int, ...]
    rounds: int
    rise: float
    samples: int
    units: FilterUnits
