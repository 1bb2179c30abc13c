"""Next-best allocations around a known one, without the solver: all changes of one or two layers, by their tables."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from mico_runner.search.space import Space

MOST = 512  # changes of one layer, of which all pairs are compared


def changes(
    space: Space, config: np.ndarray, table: np.ndarray, limits: Iterable[tuple[np.ndarray, float]], count: int | None
) -> np.ndarray:
    """(k, layers) the best `count` (None: all) of the configurations that differ from `config` (layers,) in one or two layers.

    Ascending by the sum of table[layer, choice]; within the limits, (table, highest allowed sum) pairs, up to rounding. In spaces of more
    than `MOST` choices of all layers together, only so many changes of one layer are looked at: those that alter the sum least.
    """
    layer, choice = np.nonzero(space.mask)
    if len(layer) > MOST:
        alters = np.abs(table[layer, choice] - table[layer, config[layer]])
        kept = np.sort(np.argpartition(alters, MOST)[:MOST])
        layer, choice = layer[kept], choice[kept]
    rows = np.arange(len(config))

    def gains(values: np.ndarray) -> np.ndarray:
        """(entries, entries) change of the sum by two single-layer changes; the diagonal is one change alone."""
        single = values[layer, choice] - values[layer, config[layer]]
        both: np.ndarray = single[:, None] + single[None]
        np.fill_diagonal(both, single)
        return both

    moved = choice != config[layer]
    allowed = np.triu(moved[:, None] & moved[None] & (layer[:, None] != layer[None]), 1) | np.diag(moved)
    for limit, highest in limits:
        allowed &= gains(limit) <= highest - limit[rows, config].sum()
    first, second = np.nonzero(allowed)
    gain = gains(table)[first, second]
    if count is not None and len(gain) > count:
        best = np.argpartition(gain, count)[:count]
        first, second, gain = first[best], second[best], gain[best]
    order = np.lexsort((second, first, gain))
    found = np.tile(config, (len(order), 1))
    found[np.arange(len(order)), layer[first[order]]] = choice[first[order]]
    found[np.arange(len(order)), layer[second[order]]] = choice[second[order]]
    return found
