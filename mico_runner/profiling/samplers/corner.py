"""The corners of the ranges: a predictor that has seen them only interpolates."""

from __future__ import annotations

from itertools import product

import numpy as np

from mico_runner.profiling.samplers import CHOICES, distinct, register, shape
from mico_runner.profiling.samplers.lhs import lhs


@register("corner")
def corner(kind: str, ranges: dict[str, list[int]], count: int, rng: np.random.Generator) -> list[dict[str, int]]:
    """All combinations of the lowest and highest values; a random part of them when there are more than `count`."""
    ends = [limits if name in CHOICES else [limits[0], limits[-1]] for name, limits in ranges.items()]
    shapes = distinct([shape(kind, dict(zip(ranges, values, strict=True))) for values in product(*ends)])
    if len(shapes) <= count:
        return shapes
    return [shapes[i] for i in np.sort(rng.choice(len(shapes), count, replace=False))]


@register("lhs+corner")
def lhs_corner(kind: str, ranges: dict[str, list[int]], count: int, rng: np.random.Generator) -> list[dict[str, int]]:
    """A quarter of `count` at most from the corners, the rest a Latin hypercube."""
    corners = corner(kind, ranges, count // 4, rng)
    return distinct(corners + lhs(kind, ranges, count, rng))[:count]
