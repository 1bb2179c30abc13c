"""The configuration that a search evaluates first: the most bits that the constraints allow which need no evaluation."""

from __future__ import annotations

import numpy as np

from mico_runner.search.milp import allocate
from mico_runner.search.problem import Problem
from mico_runner.search.space import Space


def start(problem: Problem, feasible_start: np.ndarray) -> np.ndarray:
    """(layers,) the base where it is cheap-feasible; else the cheap-feasible configuration of the least quantisation noise.

    The allocation is exact for additive constraints; where others (RAM) refuse it, layer after layer of the feasible start takes its choice
    as far as they allow.

    Args:
        feasible_start: (layers,) a cheap-feasible configuration.
    """
    base = problem.space.base
    if problem.cheap_feasible(base[None])[0]:
        return base
    wanted = allocate(problem.space, noise(problem.space), problem.limits())
    wanted = base if wanted is None else wanted
    if problem.cheap_feasible(wanted[None])[0]:
        return wanted
    config = feasible_start.copy()
    for layer in range(len(config)):
        moved = config.copy()
        moved[layer] = wanted[layer]
        if problem.cheap_feasible(moved[None])[0]:
            config = moved
    return config


def noise(space: Space) -> np.ndarray:
    """(layers, choices) what is known of a layer's loss before any evaluation: the power of its quantisation noise falls by 4^-bits."""
    bits = np.array(space.choices, dtype=float)
    return np.tile((4.0**-bits).sum(axis=1), (len(space.layers), 1))
