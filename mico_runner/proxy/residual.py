"""The learned residual of a structural predictor: a Gaussian process over shapes and bit-widths.

The covariance of two kernels' log residuals is

    k_shape(s, s') * (shape^2 + bits^2 * k_bits(b, b')) + [s = s'] * (own^2 + own_bits^2 * k_bits(b, b')) + [same row] * noise^2

with squared-exponential k_shape over log2 sizes and k_bits over log2 bit-widths. The terms in [s = s'] are what one shape has for
itself (alignment, cache conflicts): all bit-widths share it, and a new shape learns nothing from it. Without them sixteen rows
of one shape would count as sixteen witnesses. Far from all training shapes k_shape vanishes and the residual is 0.

The hyper-parameters are fixed, unless others of a small grid have a clearly smaller leave-one-shape-out error, which has a closed form
(Rasmussen and Williams 2006, section 5.4.2, with blocks in place of single points).
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
from scipy import linalg

from mico_runner.kernel_table import SHAPE
from mico_runner.proxy.grid_solver import solve
from mico_runner.proxy.terms import sizes

TUNING_ROWS = 700  # a sample is enough to choose among the grid, and keeps the cubic cost small
CHUNK = 512  # rows predicted at once: what is computed for them stays in the cache
# length, bit_length: octaves of size and of bit-width. Of the amplitudes only the ratios matter for the mean.
DEFAULT = {"length": 3.0, "shape": 0.05, "bits": 0.02, "bit_length": 1.5, "own": 0.03, "own_bits": 0.01, "noise": 0.01}
GRID = {"bits": (0.02, 0.05), "own": (0.03, 0.1), "noise": (0.01, 0.05)}
CLEARLY = 0.95  # a grid point replaces the default when its error is below this part of the default's


def fit(table: pd.DataFrame, residual: np.ndarray, tune: bool, rng: np.random.Generator) -> dict[str, Any]:
    """Fit the process to log residuals (rows,); returns its state as plain arrays and numbers for `predict`."""
    shapes, shape_of = _unique_shapes(table)
    pairs, pair_of = _unique_pairs(table)
    state = {
        "shapes": shapes.to_numpy(),
        "shape_features": shape_features(table, shape_of, len(shapes)),
        "pairs": pairs,
    }
    theta = DEFAULT
    if tune and len(shapes) > 1:
        rows = np.arange(len(table))
        if len(rows) > TUNING_ROWS:
            rows = np.sort(rng.choice(len(rows), TUNING_ROWS, replace=False))
        theta = _tuned(state, shape_of[rows], pair_of[rows], residual[rows])
    similar = _kernel(state["shape_features"], state["shape_features"], theta["length"])
    weights = solve(similar, _kernel(pairs, pairs, theta["bit_length"]), theta, shape_of, pair_of, residual)
    return state | {"weights": weights, "theta": theta}


def predict(state: dict[str, Any], table: pd.DataFrame) -> np.ndarray:
    """Expected log residual of each row, float64 (rows,); 0 far from the shapes it was fitted on."""
    theta, weights = state["theta"], state["weights"]
    shapes, shape_of = _unique_shapes(table)
    pairs, pair_of = _unique_pairs(table)
    features = shape_features(table, shape_of, len(shapes))
    bits = _kernel(pairs, state["pairs"], theta["bit_length"])
    total = weights.sum(axis=1)
    by_pair = np.einsum("sb,qb->qs", weights, bits)
    near = theta["shape"] ** 2 * total + theta["bits"] ** 2 * by_pair
    own = theta["own"] ** 2 * total + theta["own_bits"] ** 2 * by_pair
    known = {tuple(shape): number for number, shape in enumerate(state["shapes"].tolist())}
    index = np.array([known.get(tuple(shape), -1) for shape in shapes.to_numpy().tolist()])[shape_of]
    result = np.where(index >= 0, own[pair_of, index], 0.0)
    for start in range(0, len(table), CHUNK):
        part = slice(start, start + CHUNK)
        used, position = np.unique(shape_of[part], return_inverse=True)
        similar = _kernel(features[used], state["shape_features"], theta["length"])
        result[part] += np.einsum("ij,ij->i", similar[position], near[pair_of[part]])
    return result


def prior_covariance(table: pd.DataFrame, theta: dict[str, float]) -> np.ndarray:
    """Covariance of the log residuals of all rows before anything is measured, noise left out, float64 (rows, rows)."""
    shapes, shape_of = _unique_shapes(table)
    pairs, pair_of = _unique_pairs(table)
    state = {"shape_features": shape_features(table, shape_of, len(shapes)), "pairs": pairs}
    return _covariance(state, shape_of, pair_of, theta | {"noise": 0.0})


def shape_features(table: pd.DataFrame, shape_of: np.ndarray, count: int) -> np.ndarray:
    """log2 of the sizes of each distinct shape (shapes, 7): N, M, K, kernel taps, and the three pairwise products."""
    first = np.empty(count, dtype=int)
    first[shape_of[::-1]] = np.arange(len(table))[::-1]
    rows = table.iloc[first]
    N, M, K, _ = sizes(rows)
    taps = (rows["kernel_h"] * rows["kernel_w"]).to_numpy(float)
    return np.log2(np.stack([N, M, K, taps, N * M, M * K, N * K], axis=1))


def _unique_shapes(table: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """The distinct shapes, by first appearance, and the number of each row's."""
    rows = np.ascontiguousarray(table[SHAPE].to_numpy(np.int64))
    _, first, sorted_of = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    return table[SHAPE].iloc[first[order]], np.argsort(order)[sorted_of.ravel()]


def _unique_pairs(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """log2 of the distinct pairs of bits (pairs, 2); 0 bits of kernels without weights count as half a bit."""
    codes, pair_of = np.unique(
        table["act_bits"].to_numpy() * 100 + table["weight_bits"].to_numpy(), return_inverse=True
    )
    return np.log2(np.maximum(np.stack(np.divmod(codes, 100), axis=1), 0.5)), pair_of


def _kernel(left: np.ndarray, right: np.ndarray, length: float) -> np.ndarray:
    """Squared-exponential covariance (left, right); loops and no matrix product, whose last bits depend on the number of rows."""
    squared = np.zeros((len(left), len(right)))
    for a, b in zip(left.T / length, right.T / length, strict=True):
        difference = a[:, None] - b[None, :]
        difference *= difference
        squared += difference
    squared *= -0.5
    return np.exp(squared, out=squared)


def _covariance(
    state: dict[str, Any], shape_of: np.ndarray, pair_of: np.ndarray, theta: dict[str, float]
) -> np.ndarray:
    shape = _kernel(state["shape_features"], state["shape_features"], theta["length"])
    bits = _kernel(state["pairs"], state["pairs"], theta["bit_length"])
    same = np.eye(len(shape))
    rows = np.ix_(shape_of, shape_of)
    shared = theta["shape"] ** 2 * shape + theta["own"] ** 2 * same
    by_bits = theta["bits"] ** 2 * shape + theta["own_bits"] ** 2 * same
    covariance = shared[rows] + by_bits[rows] * bits[np.ix_(pair_of, pair_of)]
    covariance[np.diag_indices_from(covariance)] += theta["noise"] ** 2
    return covariance


def _tuned(state: dict[str, Any], shape_of: np.ndarray, pair_of: np.ndarray, residual: np.ndarray) -> dict[str, float]:
    def error(theta: dict[str, float]) -> float:
        return _left_out_error(_covariance(state, shape_of, pair_of, theta), shape_of, residual)

    grid = [DEFAULT | dict(zip(GRID, values, strict=True)) for values in itertools.product(*GRID.values())]
    errors = [error(theta) for theta in grid]
    best = int(np.argmin(errors))
    return grid[best] if errors[best] < CLEARLY * error(DEFAULT) else DEFAULT


def _left_out_error(covariance: np.ndarray, groups: np.ndarray, residual: np.ndarray) -> float:
    """Mean absolute error of the residual when each row's whole shape is left out."""
    inverse = linalg.cho_solve(linalg.cho_factor(covariance), np.eye(len(covariance)))
    alpha = inverse @ residual
    total = 0.0
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        total += np.abs(np.linalg.solve(inverse[np.ix_(rows, rows)], alpha[rows])).sum()
    return total / len(residual)
