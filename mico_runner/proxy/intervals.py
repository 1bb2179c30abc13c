"""Prediction intervals that depend on size and bits: split-conformal, with scores relative to a local spread.

The calibration is the errors |log(measured / predicted)| of shapes that were left out. The spread of a kernel is their kernel-weighted
mean over shapes of about the same work and over pairs of bits nearby, its own shape left out, and grows with the distance to the
nearest calibrated shape, so that extrapolation widens an interval. A score is an error over its spread; the quantile of the scores
times the spread is the interval (locally weighted conformal prediction: J. Lei et al., "Distribution-free predictive inference
for regression", JASA 2018). Shapes are the units, not rows: the bits of one shape share its error, so that a shape's rows have the
weight of one score together, and the shape that is asked about counts as one more (S. Dunn et al., "Distribution-free prediction
sets for two-layer hierarchical models", JASA 2023).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from mico_runner.kernel_table import SHAPE
from mico_runner.proxy.terms import sizes

# Chosen by coverage per third of sizes and pair of bits on mico-small and bitfusion, errors of `hybrid`.
SIZE_LENGTH = 1.5  # octaves of work over which errors are alike
BIT_LENGTH = 1.5  # octaves of bit-width, likewise
COMMON = 0.3  # shapes' worth of weight that the mean error of all has
GROWTH = 0.5  # of the spread, per octave (in N, M and K) to the nearest calibrated shape
SMALLEST = 1e-6  # log error that counts as none: spreads stay positive

State = dict[str, np.ndarray]


def calibrate(table: pd.DataFrame, logs: np.ndarray) -> State:
    """What the errors on shapes left out say: a kernel table of one kind and log(measured / predicted), (rows,)."""
    shapes, shape_of = _shapes(table)
    pairs, pair_of = _pairs(table)
    rows = np.bincount(shape_of).astype(float)
    errors = np.maximum(np.abs(logs), SMALLEST)
    alike = _alike(pairs, pairs, BIT_LENGTH)  # asked, calibrated
    share = np.zeros((len(shapes), len(pairs)))  # of a shape's rows, by pair
    error = np.zeros_like(share)
    np.add.at(share, (shape_of, pair_of), 1 / rows[shape_of])
    np.add.at(error, (shape_of, pair_of), errors / rows[shape_of])
    state = {
        "shapes": shapes,
        "pairs": pairs,
        "weight": share @ alike.T,
        "error": error @ alike.T,
        "mean": np.array([error.sum() / len(shapes)]),
    }
    spread = _spread(state, shapes, pairs, alone=True)[shape_of, pair_of]
    scores = errors / spread
    order = np.argsort(scores, kind="stable")
    return state | {"scores": scores[order], "cumulated": np.cumsum(1 / rows[shape_of[order]])}


def half_width(state: State, table: pd.DataFrame, coverage: float) -> np.ndarray:
    """Half the width of each row's interval in log latency, float64 (rows,), of a kernel table of the calibrated kind.

    With too few shapes for `coverage` it is that of the largest score.
    """
    shapes, shape_of = _shapes(table)
    pairs, pair_of = _pairs(table)
    wanted = coverage * (len(state["shapes"]) + 1)
    position = min(int(np.searchsorted(state["cumulated"], wanted * (1 - 1e-12))), len(state["scores"]) - 1)
    widths: np.ndarray = state["scores"][position] * _spread(state, shapes, pairs)[shape_of, pair_of]
    return widths


def _spread(state: State, shapes: np.ndarray, pairs: np.ndarray, alone: bool = False) -> np.ndarray:
    """Expected log error, float64 (shapes, pairs); `alone`: these are the calibrated ones, each without itself."""
    alike = _alike(shapes.sum(axis=1)[:, None], state["shapes"].sum(axis=1)[:, None], SIZE_LENGTH)
    distance = np.sqrt(((shapes[:, None] - state["shapes"][None]) ** 2).sum(axis=2))
    if alone:
        np.fill_diagonal(alike, 0)
        np.fill_diagonal(distance, np.inf if len(shapes) > 1 else 0)
    nearest = _nearest(pairs, state["pairs"])
    error, weight = (alike @ state[key][:, nearest] for key in ("error", "weight"))
    spread: np.ndarray = (error + COMMON * state["mean"]) / (weight + COMMON)
    return spread * (1 + GROWTH * distance.min(axis=1))[:, None]


def _shapes(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """log2 of N, M, K of each distinct shape, float64 (shapes, 3), and the number of each row's."""
    _, first, shape_of = np.unique(table[SHAPE].to_numpy(np.int64), axis=0, return_index=True, return_inverse=True)
    return np.log2(np.stack(sizes(table.iloc[first])[:3], axis=1)), shape_of.ravel()


def _pairs(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """log2 of each distinct pair of bits, float64 (pairs, 2), and the number of each row's; no bits count as half a bit."""
    bits, pair_of = np.unique(table[["act_bits", "weight_bits"]].to_numpy(float), axis=0, return_inverse=True)
    return np.log2(np.maximum(bits, 0.5)), pair_of.ravel()


def _nearest(pairs: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Number of the known pair that is nearest to each."""
    nearest: np.ndarray = ((pairs[:, None] - known[None]) ** 2).sum(axis=2).argmin(axis=1)
    return nearest


def _alike(left: np.ndarray, right: np.ndarray, length: float) -> np.ndarray:
    """Squared-exponential weights, float64 (left, right)."""
    weights: np.ndarray = np.exp(-0.5 * ((left[:, None] - right[None]) ** 2).sum(axis=2) / length**2)
    return weights
