"""Configurations as numbers that a regression learns from."""

from __future__ import annotations

import numpy as np

from mico_runner.search.problem import Problem
from mico_runner.search.space import Space


def bits(space: Space, configs: np.ndarray) -> np.ndarray:
    """(P, 2 layers) the weight bits of all layers, then their activation bits."""
    pairs = np.array(space.choices, dtype=float)[configs]
    found: np.ndarray = np.concatenate([pairs[..., 0], pairs[..., 1]], axis=1)
    return found


def unit(space: Space, configs: np.ndarray) -> np.ndarray:
    """The same on a scale of logarithms, from 0 at the fewest bits of the space to 1 at the most; 0 where there is one value."""
    pairs = np.log2(np.array(space.choices, dtype=float) + 1.0)
    span = np.maximum(np.ptp(pairs, axis=0), 1e-12)
    scaled = ((pairs - pairs.min(axis=0)) / span)[configs]
    found: np.ndarray = np.concatenate([scaled[..., 0], scaled[..., 1]], axis=1)
    return found


def shares(problem: Problem) -> np.ndarray:
    """(layers,) what each layer makes up of the network: of its MACs where bit operations are counted, else of the first cost at most bits.

    Equal shares where a problem has no costs.
    """
    space = problem.space
    rows = np.arange(len(space.layers))
    if "bops" in problem.costs:
        found = problem.costs["bops"].table[rows, space.base] / np.array(space.choices, dtype=float)[space.base].prod(
            axis=1
        )
    elif problem.costs:
        found = next(iter(problem.costs.values())).table[rows, space.base]
    else:
        found = np.ones(len(rows))
    total = np.abs(found).sum()
    return np.abs(found) / total if total > 0 else np.full(len(rows), 1 / len(rows))
