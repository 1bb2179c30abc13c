"""A row of numbers for every design of a kernel: those of its own pragmas and loops, and those that all kernels have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mico_runner.data.hls_designs import Designs
from mico_runner.dse import messages
from mico_runner.dse.loops import COARSE, FLATTEN, OFF, UNROLLED, Loop, Made, factor, loops, made

DEPTHS = 3  # of loops, that are told apart in every kernel


@dataclass(frozen=True)
class Table:
    """Features: `own` (designs, ...) of the kernel's pragmas and loops; `shared` (designs, ...) with a meaning in every kernel."""

    own: np.ndarray
    shared: np.ndarray


def of_designs(designs: Designs) -> Table:
    """The features of all designs of a kernel."""
    found = loops(designs.source)
    each = [made(found, point) for point in designs.points]
    own = np.array([_own(found, m, p) for m, p in zip(each, designs.points, strict=True)])
    shared = np.array([_shared(found, m) for m in each])
    return Table(own, np.hstack([shared, messages.of_points(designs.graph, designs.points)]))


def _own(found: Sequence[Loop], each: Sequence[Made], point: Mapping[str, Any]) -> list[float]:
    """The pragmas as they are written, and what they make of the loops."""
    row: list[float] = []
    for name in sorted(point):
        value = point[name]
        if "PIPE" in name:
            row += [value in ("off", "NA"), value == "flatten", value in ("", "on")]
        else:
            row.append(float(np.log2(factor(value))))
    for loop, m in zip(found, each, strict=True):
        if loop.pragmas:
            row += [np.log2(m.unroll), np.log2(np.ceil(loop.trip / m.unroll)), np.log2(m.tile), m.tile > 1]
            row += [m.mode == OFF, m.mode == COARSE, m.mode == FLATTEN, m.mode == UNROLLED]
            row += [loop.trip % m.unroll != 0, loop.trip % m.tile != 0]
    return [*map(float, row), *_sums(found, each)]


def _sums(found: Sequence[Loop], each: Sequence[Made]) -> list[float]:
    """Over all loops."""
    unroll = np.log2([m.unroll for m in each])
    inner = np.array([loop.innermost for loop in found])
    left = np.log2([np.ceil(loop.trip / m.unroll) for loop, m in zip(found, each, strict=True)])
    uneven = sum(loop.trip % m.unroll != 0 for loop, m in zip(found, each, strict=True))
    tiles = np.log2([m.tile for m in each])
    return [
        float(value)
        for value in (
            unroll.sum(),
            unroll[inner].min(initial=99.0),
            unroll[inner].sum(),
            unroll[~inner].max(initial=0.0),
            unroll[~inner].sum(),
            _nest(found, left).max(initial=0.0),
            np.log2(np.exp2(_nest(found, left)).sum()),
            uneven,
            (tiles > 0).sum(),
            tiles.max(initial=0.0),
            sum(m.mode == UNROLLED for m in each),
        )
    ]


def _nest(found: Sequence[Loop], left: np.ndarray) -> np.ndarray:
    """log2 of the iterations of each innermost loop with all around it."""
    total = np.zeros(len(found))
    for i, loop in enumerate(found):
        total[i] = left[i] + (total[loop.outer] if loop.outer >= 0 else 0.0)
    return total[[loop.innermost for loop in found]]


def _shared(found: Sequence[Loop], each: Sequence[Made]) -> list[float]:
    """By depth the largest unrolling, mode and tile, the iterations left; and sums."""
    depths: list[int] = []
    for loop in found:
        depths.append(depths[loop.outer] + 1 if loop.outer >= 0 else 0)
    trips = np.log2([loop.trip for loop in found])
    row = [float(len(found)), float(max(depths)), float(_nest(found, trips).max(initial=0.0))]
    for depth in range(DEPTHS):
        at = [i for i, d in enumerate(depths) if min(d, DEPTHS - 1) == depth]
        row += [max((float(np.log2(each[i].unroll)) for i in at), default=-1.0)]
        row += [max((float(each[i].mode) for i in at), default=-1.0)]
        row += [max((float(np.log2(each[i].tile)) for i in at), default=-1.0)]
        row += [max((float(trips[i]) for i in at), default=-1.0)]
    return row + _sums(found, each)


def iterations(designs: Designs) -> float:
    """log2 of the kernel's iterations when no pragma does anything: what cycles of other kernels are compared by."""
    found = loops(designs.source)
    return float(np.log2(np.exp2(_nest(found, np.log2([loop.trip for loop in found]))).sum()))
