"""Uniform bits: what a search has to beat, and what anyone would try first."""

from __future__ import annotations

import numpy as np

from mico_runner.quant.qgraph import LayerBits
from mico_runner.search.problem import Problem

_ENDS = LayerBits(8, 8)  # of the first and the last layer, where most tools keep them


def uniforms(problem: Problem) -> np.ndarray:
    """(k, layers) the cheap-feasible configurations with one pair of bits in all layers, with and without the ends at 8 x 8.

    A layer that may not take the pair (it is pinned) takes its most bits. Only those are returned that no other one has all bits of, most
    bits first; so they are few.
    """
    space = problem.space
    found = []
    for choice, pair in enumerate(space.choices):
        allowed = space.mask[:, choice]
        if not allowed.any():
            continue
        config = np.where(allowed, choice, space.base)
        found.append(config)
        if pair != _ENDS and _ENDS in space.choices:
            at = space.choices.index(_ENDS)
            kept = config.copy()
            for layer in (0, -1):
                kept[layer] = at if space.mask[layer, at] else config[layer]
            found.append(kept)
    every = np.unique(np.stack(found), axis=0) if found else np.empty((0, len(space.layers)), dtype=np.int64)
    every = every[problem.cheap_feasible(every)] if len(every) else every
    bits = np.array(space.choices, dtype=float)[every].reshape(len(every), 2 * len(space.layers))
    more = bits[None] - bits[:, None]
    less = np.all(more >= 0, axis=2) & np.any(more > 0, axis=2)
    kept_ones = np.flatnonzero(~np.any(less, axis=1))
    return every[kept_ones[np.argsort(-bits[kept_ones].sum(axis=1), kind="stable")]]
