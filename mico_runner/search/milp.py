"""Exact bit allocation: a multiple-choice knapsack over additive tables, solved by HiGHS through scipy's `milp`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_matrix, vstack

from mico_runner.search.space import Space

_SCALE = 1e4  # of the objective: HiGHS stops at an absolute gap of 1e-6, which must be small beside the values' spread
_NODES = 200_000  # a limit that, unlike time, gives the same answer on every machine


@dataclass(frozen=True)
class Solution:
    """A configuration with its proof.

    Attributes:
        config: (layers,).
        value: its sum of table[layer, choice].
        bound: no configuration within the limits has a lower sum.
    """

    config: np.ndarray
    value: float
    bound: float


def allocate(
    space: Space, table: np.ndarray, limits: Iterable[tuple[np.ndarray, float]] = (), excluded: np.ndarray | None = None
) -> np.ndarray | None:
    """The configuration (layers,) of `solve`; None when none is left."""
    found = solve(space, table, limits, excluded)
    return None if found is None else found.config


def solve(
    space: Space, table: np.ndarray, limits: Iterable[tuple[np.ndarray, float]] = (), excluded: np.ndarray | None = None
) -> Solution | None:
    """The configuration with the least sum of table[layer, choice], and what proves it; None when none is left.

    Args:
        table: (layers, choices) what to minimise.
        limits: (table, highest allowed sum) pairs, kept up to HiGHS's tolerance of about 1e-6 of the sum.
        excluded: (n, layers) configurations that are not wanted (no-good cuts).
    """
    layer, choice = np.nonzero(space.mask)
    width = len(layer)
    one_each = csr_matrix((np.ones(width), (layer, np.arange(width))), shape=(len(space.layers), width))
    rules = [LinearConstraint(one_each, 1, 1)]
    bounds = list(limits)
    if bounds:
        rows = [_scaled(t[layer, choice], high) for t, high in bounds]
        rules.append(LinearConstraint(np.stack([row for row, _ in rows]), -np.inf, [high for _, high in rows]))
    if excluded is not None and len(excluded):
        cuts = vstack([csr_matrix((config[layer] == choice).astype(float)) for config in excluded])
        rules.append(LinearConstraint(cuts, -np.inf, len(space.layers) - 1))
    values = table[layer, choice]
    lowest = np.full(len(space.layers), np.inf)
    np.minimum.at(lowest, layer, values)
    values = values - lowest[layer]  # the least of each layer is 0: the spread is all that matters
    scale = _SCALE / max(values.max(), 1e-300) if values.max() > 0 else 1.0
    values = values * scale
    options = {"mip_rel_gap": 0.0, "node_limit": _NODES, "disp": False}
    with _quiet():
        solved = milp(values, integrality=np.ones(width), bounds=Bounds(0, 1), constraints=rules, options=options)
    if solved.x is None:
        return None
    config = np.empty(len(space.layers), dtype=np.int64)
    taken = solved.x > 0.5
    config[layer[taken]] = choice[taken]
    bound = float(solved.mip_dual_bound) / scale + float(lowest.sum())
    value = float(table[np.arange(len(config)), config].sum())
    return Solution(config, value, min(bound, value))


def _scaled(row: np.ndarray, high: float) -> tuple[np.ndarray, float]:
    """The same inequality with coefficients around 1, so that the solver's absolute tolerance is a relative one."""
    scale = max(np.abs(row).max(), 1e-300)
    return row / scale, high / scale


@contextmanager
def _quiet() -> Iterator[None]:
    """Nothing on the process's standard output: HiGHS has debug lines that no option turns off."""
    sys.stdout.flush()
    kept, null = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(null)
