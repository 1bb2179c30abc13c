"""Which kernels to measure next: those that tell most about all the others.

The model behind `hybrid` is a sum of physical terms plus a Gaussian process. With independent priors on the terms' coefficients the
whole is one Gaussian process on relative latency, so the value of a measurement is known before it is made: it is the variance that it
takes away, summed over all candidate kernels (active learning, D. Cohn et al., "Active learning with statistical models", 1996).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from mico_runner.proxy import residual
from mico_runner.proxy.strategies.hybrid import Hybrid
from mico_runner.proxy.terms import physical_terms

SHARED, DEVIATION = 1.0, 0.2  # prior standard deviation of a term's part of the latency: in common, and by bit-widths
UNTOLD = 0.3  # prior standard deviation of log latency that no sum of terms says, before anything is measured
FIRST = 16  # rows chosen by spread alone, before anything is known


def next_rows(table: pd.DataFrame, rows: np.ndarray, latency: np.ndarray, count: int) -> np.ndarray:
    """Positions of the `count` rows of a kernel table (of one kind) to measure next.

    Args:
        table: all candidate kernels.
        rows: positions that are measured already; with fewer than `FIRST` of them the choice goes by sizes and bits alone.
        latency: their latencies, (len(rows),).
    """
    rows = np.asarray(rows, dtype=int)
    count = min(count, len(table) - len(rows))
    if len(rows) < FIRST:
        return _reducing(_spread(table), residual.DEFAULT["noise"] ** 2, rows, count)
    model = Hybrid(bit_penalty=1e-1, tune=False, complete=False).fit(table.iloc[rows], latency)
    terms, shared = model.structure_.relative_terms(table, model.predict(table))
    prior = terms * np.where(shared, SHARED, DEVIATION) / np.sqrt(shared.sum())
    noise = residual.DEFAULT["noise"] ** 2
    return _reducing(prior @ prior.T + residual.prior_covariance(table, residual.DEFAULT), noise, rows, count)


def next_shapes(table: pd.DataFrame, count: int) -> np.ndarray:
    """Positions of the `count` shapes to profile first, of a kernel table with a row per shape and one pair of bits.

    Nothing is known of the latencies. Every physical term is taken to have the same cost at its largest, which makes the prior of
    relative latency; beside it stands a Gaussian process over sizes, for what no sum of terms says. What is chosen takes away most
    of the summed variance of all shapes.
    """
    terms = physical_terms(table).to_numpy()
    terms = terms / np.maximum(terms.max(axis=0), np.finfo(float).tiny)
    relative = terms / np.maximum(terms.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    scale = np.sqrt((relative**2).mean(axis=0))
    prior = relative[:, scale > 0] / scale[scale > 0] / np.sqrt((scale > 0).sum())
    sizes = residual.prior_covariance(table, residual.DEFAULT | {"shape": UNTOLD, "bits": 0.0})
    return _reducing(prior @ prior.T + sizes, residual.DEFAULT["noise"], np.zeros(0, dtype=int), count)


def _spread(table: pd.DataFrame) -> np.ndarray:
    """Covariance of kernels by sizes and bits alone."""
    return residual.prior_covariance(table, residual.DEFAULT | {"shape": 1.0, "bits": 0.5})


def _reducing(covariance: np.ndarray, noise: float, rows: np.ndarray, count: int) -> np.ndarray:
    """Greedily, the positions whose measurement takes away most of the summed variance."""
    covariance = covariance.copy()
    chosen: list[int] = []

    def measure(row: int) -> None:
        column = covariance[:, row].copy()
        covariance[:] -= np.outer(column, column) / (column[row] + noise)

    for row in rows:
        measure(row)
    free = np.setdiff1d(np.arange(len(covariance)), rows)
    for _ in range(count):
        gain = (covariance[free] ** 2).sum(axis=1) / (covariance[free, free] + noise)
        best = free[np.argmax(gain)]
        chosen.append(int(best))
        measure(best)
        free = free[free != best]
    return np.array(chosen, dtype=int)
