"""What a choice of exits, margins and clocks costs and is worth, as tables.

A stage is what runs up to an exit, its head included, or from the last exit to the network's end. A sample that takes exit i has run the
stages 0 .. i. Its energy is the sum over them of cycles * power / hertz, each at the operating point of its stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mico_runner.hardware import OperatingPoint


@dataclass(frozen=True)
class Problem:
    """The network with all of its possible exits, on the samples that the choice is made with.

    Attributes:
        margins: int64 (exits, N): by how much each exit's largest score exceeds its second largest.
        right: bool (exits + 1, N): whether each exit, and the network's end, answers rightly.
        backbone: (exits + 1,) cycles of the network itself from one place to the next.
        heads: (exits,) cycles of each exit's head.
        points: operating points of the device.
        seconds: what the longest way may take at most.
        drop: by how many points of accuracy (per cent) the answers may be worse than the end's.
        levels: margins that are tried for each exit, at most.
    """

    margins: np.ndarray
    right: np.ndarray
    backbone: np.ndarray
    heads: np.ndarray
    points: tuple[OperatingPoint, ...]
    seconds: float
    drop: float
    levels: int

    @property
    def exits(self) -> int:
        return len(self.margins)

    def tried(self, exit: int) -> np.ndarray:
        """int64 (levels or fewer,): margins of one exit, ascending: its quantiles, from 1 up."""
        shares = np.linspace(0, 1, self.levels)
        return np.unique(np.maximum(np.quantile(self.margins[exit], shares, method="nearest"), 1)).astype(np.int64)

    def stages(self, chosen: Sequence[int]) -> np.ndarray:
        """(len(chosen) + 1,) cycles of each stage where only these exits are built, ascending."""
        ends = [*chosen, self.exits]
        starts = [0, *(exit + 1 for exit in chosen)]
        own = [*self.heads[list(chosen)], 0.0]
        return np.array([self.backbone[a : b + 1].sum() + h for a, b, h in zip(starts, ends, own, strict=True)])

    @property
    def joules_per_cycle(self) -> np.ndarray:
        return np.array([point.watts / point.hertz for point in self.points])

    @property
    def seconds_per_cycle(self) -> np.ndarray:
        return np.array([1 / point.hertz for point in self.points])

    def judged(self, chosen: Sequence[int], margins: Sequence[int]) -> tuple[float, np.ndarray]:
        """Accuracy (%) with these exits at these margins, and the share of samples (stages,) that runs each stage."""
        left = np.full(self.right.shape[1], len(chosen))
        for number in reversed(range(len(chosen))):
            left[self.margins[chosen[number]] >= margins[number]] = number
        answers = self.right[[*chosen, self.exits]]
        shares = np.array([(left >= stage).mean() for stage in range(len(chosen) + 1)])
        return 100 * float(answers[left, np.arange(len(left))].mean()), shares


@dataclass(frozen=True)
class Choice:
    """Exits, ascending, the margin of each, the operating point of each stage by its number, and what they give.

    Attributes:
        joules: expected, of a sample.
        accuracy: in %.
        seconds: of the longest way.
    """

    exits: tuple[int, ...]
    margins: tuple[int, ...]
    clocks: tuple[int, ...]
    joules: float
    accuracy: float
    seconds: float


def valued(problem: Problem, exits: Sequence[int], margins: Sequence[int], clocks: Sequence[int]) -> Choice:
    """A choice with what it gives, computed sample by sample."""
    accuracy, shares = problem.judged(exits, margins)
    cycles, at = problem.stages(exits), list(clocks)
    joules = float((shares * cycles * problem.joules_per_cycle[at]).sum())
    seconds = float((cycles * problem.seconds_per_cycle[at]).sum())
    return Choice(tuple(exits), tuple(map(int, margins)), tuple(clocks), joules, accuracy, seconds)
