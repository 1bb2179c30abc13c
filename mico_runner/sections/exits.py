"""Exits of a network at which it may end early."""

from __future__ import annotations

from mico_runner.records import dataclass
from mico_runner.sections.bits import Bits
from mico_runner.sections.recipe import Recipe


@dataclass(frozen=True)
class ExitTraining(Recipe):
    """Attributes: distillation: share of the loss that is the distance from the network's own outputs; the rest is the task's."""

    distillation: float = 0.5


@dataclass(frozen=True)
class Exits:
    """Where a network may end early, and how exits, margins and clocks are chosen.

    Attributes:
        at: names of tensors, after which heads are trained; None: `most` of those through which all of the network passes.
        channels: of a head's first convolution; its second has twice as many. 0: a head has none.
        bits: (weight bits, activation bits) of the heads.
        drop: by how many points the accuracy on the validation part may be lower than without exits.
        seconds: what the longest way may take at most, in multiples of the network without exits at the fastest operating point.
        margins: that are tried for each exit.
        compare: "nsga2": NSGA-II in NSGA-II, beside the exact choice.
    """

    at: tuple[str, ...] | None
    most: int
    channels: int
    train: ExitTraining
    bits: tuple[Bits, int]
    drop: float
    seconds: float
    margins: int
    compare: tuple[str, ...]
