"""Search problems of which every answer is known: real networks, evaluated once and for all (`datasets/search`)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import pandas as pd

from mico_runner import paths
from mico_runner.errors import UsageError
from mico_runner.quant.qgraph import LayerBits
from mico_runner.search.problem import LOSS, MEASURED, QUALITY, Budget, Constraint, Cost, Objective, Problem
from mico_runner.search.space import Space

SUMS = ("flash_bytes", "bops", "energy")


def recorded(network: str, metric: str, share: float, budget: int) -> Problem:
    """The problem of the best quality of a recorded network within a limit.

    Args:
        network: name of a table in `datasets/search`, as the enumeration of a search writes it.
        metric: one of `SUMS`; its limit lies at `share` of the way from the lowest value in the table (0) to that of the most bits (1).

    Raises UsageError: there is no such table, or a cost in it is no sum over layers.
    """
    space, values, curvature, costs = _read(network)
    places = np.cumprod([1, *space.counts[:0:-1]])[::-1]  # of each layer in the row of a configuration

    def evaluate(configs: np.ndarray) -> Mapping[str, np.ndarray]:
        at = np.zeros(len(configs), dtype=np.int64)
        for place, allowed, column in zip(places, space.allowed, configs.T, strict=True):
            at += place * np.searchsorted(allowed, column)
        return {name: values[name][at] for name in MEASURED}

    most = float(costs[metric].total(space.base[None])[0])
    limit = values[metric].min() + share * (most - values[metric].min())
    return Problem(
        space,
        evaluate,
        [Objective(QUALITY)],
        costs,
        constraints=[Constraint(metric, max=float(limit), reference=most, relative_to="most bits")],
        budget=Budget(budget),
        curvature=lambda: curvature,
    )


@lru_cache(maxsize=4)
def _read(network: str) -> tuple[Space, dict[str, np.ndarray], np.ndarray, dict[str, Cost]]:
    folder = paths.shipped("datasets") / "search"
    path = folder / f"{network}.csv"
    if not path.is_file():
        known = sorted(p.stem for p in folder.glob("*.csv") if not p.stem.endswith("-curvature"))
        raise UsageError(f"recorded network {network!r}; allowed: {', '.join(known)}")
    table = pd.read_csv(path)
    layers = [str(name) for name in table if not pd.api.types.is_numeric_dtype(table[name])]
    pairs = {name: [_bits(text) for text in dict.fromkeys(table[name])] for name in layers}
    space = Space.of(pairs)
    at = {pair: i for i, pair in enumerate(space.choices)}
    configs = np.array([[at[_bits(text)] for text in table[name]] for name in layers], dtype=np.int64).T
    order = np.lexsort(configs.T[::-1])
    configs = configs[order]
    if not np.array_equal(configs, space.enumerate()):
        raise UsageError(f"{path}: not every configuration once; found {len(configs)}, allowed: {space.size}")
    values = {name: table[name].to_numpy(float)[order] for name in (QUALITY, LOSS, *SUMS)}
    costs = {name: _cost(path.name, name, space, configs, values[name]) for name in SUMS}
    curvature = np.loadtxt(folder / f"{network}-curvature.csv", delimiter=",")
    return space, values, curvature, costs


def _bits(text: str) -> LayerBits:
    weight, activation = text.split("x")
    return LayerBits(float(weight), int(activation))


def _cost(file: str, name: str, space: Space, configs: np.ndarray, totals: np.ndarray) -> Cost:
    """The table whose sums are these totals: of bit operations by the product of bits, of others above the least of each layer."""
    table = np.zeros(space.mask.shape)
    base = space.base
    whole = totals[(configs == base).all(axis=1)][0]
    product = np.array(space.choices, dtype=float).prod(axis=1)
    for layer, allowed in enumerate(space.allowed):
        others = np.arange(len(base)) != layer
        alone = (configs[:, others] == base[others]).all(axis=1)
        added = totals[alone] - whole  # in the order of the layer's choices
        if name == "bops" and len(allowed) > 1:
            table[layer, list(allowed)] = product[list(allowed)] * np.ptp(added) / np.ptp(product[list(allowed)])
        else:
            table[layer, list(allowed)] = added - added.min()
    rows = np.arange(len(base))
    cost = Cost(table, float(whole - table[rows, base].sum()))
    if not np.allclose(cost.total(configs), totals, rtol=1e-5):
        raise UsageError(f"{file}: {name} is no sum over the layers")
    return cost
