"""Latencies of shapes that were profiled at some bit-widths, at the others.

A shape's own measurements say more about its other bit-widths than any other shape does. Per shape s, over pairs of bits b,

    latency(s, b) = base(s, b) * (1 + f_s(b)),   f_s a Gaussian process with mean 0,

where `base` is `structural` with one coefficient per term for all bit-widths, so that it cannot explain away what f is to learn.
The covariance of f is a sum of simple ones (`_bit_kernels`), each once relative to the base and once in absolute latency, of the
physical terms of the shape, and, in a second pass, of the covariance that the other shapes' completed f show, near ones and all: what
one shape does between 4 and 5 bits the next one likely does too. The amplitudes are those of highest marginal likelihood
(Rasmussen and Williams 2006, section 5.4.1), the same for all shapes; a weak prior keeps the unneeded small.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import linalg, optimize

from mico_runner.kernel_table import BITS, SHAPE
from mico_runner.proxy.residual import shape_features
from mico_runner.proxy.strategies.structural import Structural
from mico_runner.proxy.terms import physical_terms

RIGID = 1000.0  # bit_penalty of the base: no deviations by bit-width
FEWEST = 3  # measurements of a shape from which it is completed by itself
TUNING_SHAPES = 12  # sampled for the choice of the amplitudes, which takes most of the time
ITERATIONS = 40
START, BOUNDS = -3.5, (-9.0, 1.0)  # of log amplitudes of relative errors
NOISE_START, NOISE_BOUNDS = -4.0, (-6.0, 0.0)
PRIOR_MEAN, PRIOR_PRECISION = -4.0, 0.1  # of log amplitudes
LOWEST = 0.1  # of the base: predictions stay positive
ABRUPT, GRADUAL = 1.0, 5.0  # bits over which covariances fall to 1/e
NEAR, ALL = 1.0, 100.0  # octaves of size over which other shapes' covariance is averaged


def fit(table: pd.DataFrame, latency: np.ndarray, rng: np.random.Generator) -> dict[str, Any] | None:
    """Complete the shapes of a profile of one kind of kernel, (rows,) latencies; None where no shape has enough rows."""
    pairs, pair_of = _grid(table)
    shape_of = table.groupby(SHAPE, sort=False).ngroup().to_numpy()
    counts = np.bincount(shape_of)
    measured = np.flatnonzero(counts >= FEWEST)
    if not len(measured) or not table["weight_bits"].all():
        return None
    rows = np.flatnonzero(np.isin(shape_of, measured))
    shape_of = np.searchsorted(measured, shape_of[rows])
    table, pair_of = table.iloc[rows], pair_of[rows]
    base = Structural(bit_penalty=RIGID).fit(table, latency[rows])
    shapes = table.iloc[np.unique(shape_of, return_index=True)[1]]
    everything = shapes.iloc[np.repeat(np.arange(len(shapes)), len(pairs))].assign(
        **dict(zip(BITS, np.tile(pairs.T, len(shapes)), strict=True))
    )
    expected = base.predict(everything).reshape(len(shapes), -1)
    terms = physical_terms(everything).to_numpy().reshape(*expected.shape, -1)
    observed = [(rows_ := np.flatnonzero(shape_of == s), pair_of[rows_]) for s in range(len(shapes))]
    ratio = latency[rows] / expected[shape_of, pair_of] - 1
    kernels = _bit_kernels(pairs)
    covariances = [_covariances(kernels, e, t) for e, t in zip(expected, terms, strict=True)]
    completed = _completed(covariances, observed, ratio, rng)
    if len(shapes) > 1:
        features = shape_features(table, shape_of, len(shapes))
        learned = [_learned(s, completed, expected, features) for s in range(len(shapes))]
        covariances = [np.concatenate(both) for both in zip(covariances, learned, strict=True)]
        completed = _completed(covariances, observed, ratio, rng)
    return {"shapes": shapes[SHAPE].to_numpy(), "pairs": pairs, "latency": expected * np.maximum(1 + completed, LOWEST)}


def predict(state: dict[str, Any] | None, table: pd.DataFrame, otherwise: np.ndarray) -> np.ndarray:
    """Latency of each row, float64 (rows,): `otherwise` where its shape was not completed."""
    if state is None:
        return otherwise
    shapes = {tuple(shape): number for number, shape in enumerate(state["shapes"].tolist())}
    pairs = {tuple(pair): number for number, pair in enumerate(state["pairs"].tolist())}
    shape = np.array([shapes.get(tuple(values), -1) for values in table[SHAPE].to_numpy().tolist()], dtype=int)
    pair = np.array([pairs.get(tuple(values), -1) for values in table[BITS].to_numpy(float).tolist()], dtype=int)
    return np.where((shape >= 0) & (pair >= 0), state["latency"][shape, pair], otherwise)


def _grid(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of the bit-widths in the table, float64 (pairs, 2), and the pair of each row."""
    values = [np.unique(table[column].to_numpy(float)) for column in BITS]
    pairs = np.stack(np.meshgrid(*values, indexing="ij"), axis=-1).reshape(-1, 2)
    codes = [np.searchsorted(v, table[column].to_numpy(float)) for v, column in zip(values, BITS, strict=True)]
    return pairs, codes[0] * len(values[1]) + codes[1]


def _bit_kernels(pairs: np.ndarray) -> np.ndarray:
    """Covariances over pairs of bits (kernels, pairs, pairs): offsets by bit-width, bit operations, changes."""
    act, weight = pairs.T

    def same(v: np.ndarray) -> np.ndarray:
        return (v[:, None] == v).astype(float)

    def near(v: np.ndarray, length: float) -> np.ndarray:
        return np.exp(-np.abs(v[:, None] - v) / length)

    product = act * weight / np.mean(act * weight)
    return np.stack(
        [
            np.ones((len(pairs), len(pairs))),
            same(act),
            same(weight),
            np.outer(product, product),
            near(act, ABRUPT) * near(weight, ABRUPT),
            same(act) * near(weight, GRADUAL),
            same(weight) * near(act, GRADUAL),
        ]
    )


def _covariances(kernels: np.ndarray, expected: np.ndarray, terms: np.ndarray) -> np.ndarray:
    """What one shape's f may be made of, (kernels, pairs, pairs)."""
    absolute = np.exp(np.log(expected).mean()) / expected
    size = terms.mean(axis=0)
    shares = terms / np.where(size > 0, size, 1.0) * absolute[:, None]
    return np.concatenate([kernels, kernels * np.outer(absolute, absolute), np.einsum("pt,qt->tpq", shares, shares)])


def _learned(shape: int, completed: np.ndarray, expected: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Covariance over pairs of bits among the other shapes (4, pairs, pairs): near ones and all, relative and absolute."""
    distance = ((features - features[shape]) ** 2).sum(axis=1)
    absolute = np.exp(np.log(expected[shape]).mean()) / expected[shape]
    deviation = completed * expected
    deviation = deviation / np.maximum(deviation.std(axis=1, keepdims=True), np.finfo(float).tiny)
    found = []
    for length in (NEAR, ALL):
        weight = np.exp(-0.5 * distance / length**2)
        weight[shape] = 0.0
        for values, scale in ((completed, np.ones_like(absolute)), (deviation, absolute)):
            covariance = (values.T * weight) @ values
            mean = np.trace(covariance) / len(covariance)
            covariance = covariance / mean if mean > 0 else covariance
            found.append(covariance * np.outer(scale, scale))
    return np.stack(found)


def _completed(
    covariances: list[np.ndarray],
    observed: list[tuple[np.ndarray, np.ndarray]],
    ratio: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Expected f of every shape and pair of bits (shapes, pairs)."""
    sampled = np.arange(len(observed))
    if len(sampled) > TUNING_SHAPES:
        sampled = np.sort(rng.choice(sampled, TUNING_SHAPES, replace=False))
    blocks = [
        (np.ascontiguousarray(covariances[s][:, pairs[:, None], pairs]), ratio[rows])
        for s, (rows, pairs) in enumerate(observed)
        if s in sampled
    ]
    count = len(covariances[0])
    start = np.append(np.full(count, START), NOISE_START)
    bounds = [BOUNDS] * count + [NOISE_BOUNDS]
    options = {"maxiter": ITERATIONS}
    best = optimize.minimize(
        _cost, start, args=(blocks,), jac=True, method="L-BFGS-B", bounds=bounds, options=options
    ).x
    amplitude, noise = np.exp(2 * best[:-1]), np.exp(2 * best[-1])
    completed = []
    for covariance, (rows, pairs) in zip(covariances, observed, strict=True):
        total = np.tensordot(amplitude, covariance, 1)
        inside = total[np.ix_(pairs, pairs)] + noise * np.eye(len(pairs))
        completed.append(total[:, pairs] @ linalg.solve(inside, ratio[rows], assume_a="pos"))
    return np.stack(completed)


def _cost(logs: np.ndarray, blocks: list[tuple[np.ndarray, np.ndarray]]) -> tuple[float, np.ndarray]:
    """Negative log marginal likelihood plus the prior of the log amplitudes, the noise the last; and its gradient."""
    amplitude, noise = np.exp(2 * logs[:-1]), np.exp(2 * logs[-1])
    away = logs - PRIOR_MEAN
    total, gradient = 0.5 * PRIOR_PRECISION * float(away @ away), PRIOR_PRECISION * away
    for kernels, ratio in blocks:
        covariance = np.tensordot(amplitude, kernels, 1) + noise * np.eye(len(ratio))
        factor = linalg.cho_factor(covariance, lower=True)
        inverse = linalg.cho_solve(factor, np.eye(len(ratio)))
        alpha = inverse @ ratio
        total += 0.5 * float(ratio @ alpha) + float(np.log(np.diag(factor[0])).sum())
        sensitivity = inverse - np.outer(alpha, alpha)
        gradient[:-1] += amplitude * np.tensordot(kernels, sensitivity, 2)
        gradient[-1] += noise * np.trace(sensitivity)
    return total, gradient
