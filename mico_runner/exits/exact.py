"""The best exits, margins and clocks, by looking at all of them.

For one set of exits, how many samples leave where, and rightly, at every combination of margins comes from cumulative sums over a
histogram of the samples: no sample is looked at twice. Energy is a product of two matrices, shares of the stages for each combination of
margins and joules of the stages for each combination of clocks. The last stage takes the cheapest clock that the others leave time
for, whatever the margins are, so that its clocks need not be combined with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from mico_runner.exits.problem import Choice, Problem, valued

AT_ONCE = 2**22  # energies in memory
EXACT = 1e-9  # of points of accuracy: what sums of shares may be off by


@dataclass(frozen=True)
class Found:
    """What was found among all choices.

    Attributes:
        best: the least energy within the limits; None where no choice keeps them.
        front: choices of which none is better in energy and accuracy, by rising energy; limits on accuracy are left out.
        points: how many choices there are.
    """

    best: Choice | None
    front: tuple[Choice, ...]
    points: int


def solve(problem: Problem) -> Found:
    """Look at every choice."""
    limit = 100 * float(problem.right[-1].mean()) - problem.drop - EXACT
    kept: list[Choice] = []
    points = 0
    for chosen in subsets(problem.exits):
        levels = [problem.tried(exit) for exit in chosen]
        points += int(np.prod([len(each) for each in levels], dtype=np.int64)) * len(problem.points) ** (
            len(chosen) + 1
        )
        clocks, joules = timely(problem, chosen)
        if len(clocks):
            kept += _of_one(problem, chosen, levels, clocks, joules)
    kept.sort(key=lambda choice: (choice.joules, -choice.accuracy))
    best = next((choice for choice in kept if choice.accuracy >= limit), None)
    front: list[Choice] = []
    for choice in kept:
        if not front or choice.accuracy > front[-1].accuracy:
            front.append(choice)
    return Found(best, tuple(front), points)


def subsets(count: int) -> Iterator[tuple[int, ...]]:
    """Every set of exits, the empty one first."""
    for size in range(count + 1):
        yield from combinations(range(count), size)


def timely(problem: Problem, chosen: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Operating points (n, stages) of the stages that keep the limit of time, and the joules (n, stages) of each stage at them."""
    cycles, joules, seconds = problem.stages(chosen), problem.joules_per_cycle, problem.seconds_per_cycle
    order = np.argsort(joules, kind="stable")  # of the last stage: the first that fits is the cheapest
    found = []
    for early in product(range(len(problem.points)), repeat=len(chosen)):
        left = problem.seconds - float((cycles[:-1] * seconds[list(early)]).sum())
        last = next((int(point) for point in order if cycles[-1] * seconds[point] <= left), None)
        if last is not None:
            found.append((*early, last))
    clocks = np.array(found, np.int64).reshape(-1, len(cycles))
    return clocks, cycles * joules[clocks]


def _of_one(
    problem: Problem, chosen: tuple[int, ...], levels: list[np.ndarray], clocks: np.ndarray, joules: np.ndarray
) -> list[Choice]:
    """The choices with one set of exits of which no other with them is better in both energy and accuracy."""
    rights, shares = counted(problem, chosen, levels)
    accuracy = 100 * rights.ravel() / problem.right.shape[1]
    of_stage = np.stack([share.ravel() for share in shares], axis=1) / problem.right.shape[1]
    least = np.empty(len(of_stage))
    at = np.empty(len(of_stage), np.int64)
    step = max(1, AT_ONCE // len(clocks))
    for start in range(0, len(of_stage), step):
        energies = of_stage[start : start + step] @ joules.T
        at[start : start + step] = energies.argmin(1)
        least[start : start + step] = energies.min(1)
    order = np.lexsort((-accuracy, least))
    highest = np.maximum.accumulate(accuracy[order])
    better = order[np.concatenate([[True], accuracy[order][1:] > highest[:-1]])]
    index = np.unravel_index(better, rights.shape) if chosen else ()
    found = []
    for i, row in enumerate(better):
        margins = tuple(int(level[where[i]]) for level, where in zip(levels, index, strict=True))
        found.append(valued(problem, chosen, margins, tuple(int(c) for c in clocks[at[row]])))
    return found


def counted(problem: Problem, chosen: Sequence[int], levels: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Samples answered rightly, and those that run each stage, for every combination of margins: int64 (levels, ..., levels) each."""
    shape = tuple(len(level) for level in levels)
    total = problem.right.shape[1]
    passed = [
        np.searchsorted(level, problem.margins[exit], "right") for exit, level in zip(chosen, levels, strict=True)
    ]
    rights = np.zeros(shape, np.int64)
    shares = [np.full(shape, total, np.int64)]
    for number, exit in enumerate(chosen):
        leaving = _histogram(passed[: number + 1], shape, problem.right[exit])
        rights = rights + _widened(_stayed(leaving, number, last="leaves"), len(shape))
        staying = _histogram(passed[: number + 1], shape, np.ones(total, bool))
        shares.append(np.broadcast_to(_widened(_stayed(staying, number, last="stays"), len(shape)), shape))
    if chosen:
        ending = _histogram(passed, shape, problem.right[-1])
        return rights + _stayed(ending, len(chosen) - 1, last="stays"), shares
    return np.array(int(problem.right[-1].sum())), shares


def _histogram(passed: list[np.ndarray], shape: tuple[int, ...], which: np.ndarray) -> np.ndarray:
    """How many of some samples pass so many margins of each exit: int64 (levels + 1, ...), an axis for each exit looked at."""
    sizes = tuple(size + 1 for size in shape[: len(passed)])
    flat = np.ravel_multi_index(tuple(each[which] for each in passed), sizes)
    return np.bincount(flat, minlength=int(np.prod(sizes))).reshape(sizes)


def _stayed(counts: np.ndarray, number: int, last: str) -> np.ndarray:
    """Samples that take none of the exits before `number`, and that one or not, at each combination of margins.

    A sample that passes k margins of an exit leaves there at the margins 0 .. k - 1, and stays at the others.
    """
    for axis in range(number):
        counts = np.cumsum(counts, axis=axis).take(range(counts.shape[axis] - 1), axis=axis)
    stays = np.cumsum(counts, axis=number).take(range(counts.shape[number] - 1), axis=number)
    return stays if last == "stays" else counts.sum(axis=number, keepdims=True) - stays


def _widened(table: np.ndarray, axes: int) -> np.ndarray:
    return table.reshape(*table.shape, *(1,) * (axes - table.ndim))
