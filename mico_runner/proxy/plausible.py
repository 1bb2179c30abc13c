"""Whether a profile can be right: too few shapes, latencies that do not follow the work, rows that miss their neighbours.

A predictor fits whatever it is given. What is asked here does not depend on which predictor that is, so a column that was swapped, a
timer that was read in another unit or a disturbed measurement is said before anybody trusts a prediction.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats
from scipy.spatial import cKDTree

from mico_runner.kernel_table import BITS, SHAPE
from mico_runner.proxy.terms import sizes
from mico_runner.validation.protocols import group_ids

FEWEST_SHAPES = 5  # as many as folds by default: with fewer, the error on unseen shapes is that of one or two shapes
MISSED = 10.0  # times: a row that is off its neighbours' interpolation by more is an outlier; no public profile has one (at most 6.9)
NEIGHBOURS = 8  # shapes, at the same bits
FOLLOWS = 0.3  # rank correlation of latency with work, at least; public profiles have 0.74 and more
ALIKE = 1.2  # times: latencies of shapes that differ by less are about the same
SPAN = 2.0  # times: from which the work of the largest shape is above that of the smallest one for latency to follow it
ITERATIONS = 50  # of reweighted least squares
SMALLEST = 1e-3  # log residual that counts as none: keeps the weights finite
RIDGE = 1e-6  # keeps the trend unique


class Doubts(NamedTuple):
    """What looks wrong with one kind of kernel.

    Attributes:
        sentences: for the log, one per finding.
        shapes: how many there are.
        outliers: share of the rows that are more than `MISSED` times off their neighbours.
    """

    sentences: list[str]
    shapes: int
    outliers: float


def doubts(table: pd.DataFrame) -> dict[str, Doubts]:
    """Per kind of kernel, what looks wrong with a profile (as `data.load_profile` gives it)."""
    place = [
        f"row {n} of {of}" for n, of in zip(table.groupby("dataset").cumcount() + 1, table["dataset"], strict=True)
    ]
    unit = table.attrs.get("unit") or ""
    return {kind: _doubts(kind, rows, unit) for kind, rows in table.assign(place=place).groupby("kind")}


def _doubts(kind: str, rows: pd.DataFrame, unit: str) -> Doubts:
    found = []
    shapes = group_ids(rows)
    count = int(shapes.max()) + 1
    if count < FEWEST_SHAPES:
        found.append(
            f"{kind} was profiled at {_count(count, 'shape')}: with fewer than {FEWEST_SHAPES} no error on unseen shapes can be trusted"
        )
    follows = _follows(kind, rows, shapes)
    found += [follows] if follows else []
    missed = _missed(rows)
    bad, worst = int((np.abs(missed) > np.log(MISSED)).sum()), int(np.abs(missed).argmax())
    if bad:
        how = f"{np.exp(abs(missed[worst])):,.0f} times {'above' if missed[worst] > 0 else 'below'} them"
        found.append(
            f"latencies of {kind} that are more than {MISSED:g} times off those of shapes nearby at the same bits: {bad} of "
            f"{_count(len(rows), 'row')}; the worst, {how}: {_describe(rows.iloc[worst], unit)}"
        )
    return Doubts(found, count, bad / len(rows))


def _follows(kind: str, rows: pd.DataFrame, shapes: np.ndarray) -> str | None:
    """A sentence when latency does not grow with work over the shapes, as means over bits of the logarithms."""
    logs = (
        pd.DataFrame({"work": _work(rows), "latency": np.log(rows["latency"].to_numpy(float))}).groupby(shapes).mean()
    )
    work, latency = np.exp(np.ptp(logs, axis=0))
    if work < SPAN:
        return None
    if latency < ALIKE:
        return (
            f"the latency of {kind} is about the same at all {len(logs)} shapes ({latency:.3g} times), although their work is not "
            f"({work:.3g} times)"
        )
    rank = float(stats.spearmanr(logs["work"], logs["latency"]).statistic)
    if rank >= FOLLOWS:
        return None
    how = "falls as the work grows" if rank < -FOLLOWS else "hardly follows the work"
    return f"the latency of {kind} {how} (rank correlation {rank:.2f} over {len(logs)} shapes; work is N x M x K): are columns swapped?"


def _missed(rows: pd.DataFrame) -> np.ndarray:
    """log of each latency over what its neighbours say, float64 (rows,): a robust trend, corrected by the median of theirs."""
    logs, places = np.log(rows["latency"].to_numpy(float)), _places(rows)
    bits = np.log2(np.maximum(rows[BITS].to_numpy(float), 0.5))
    residual = _off_trend(np.column_stack([places, bits, places.sum(axis=1) ** 2]), logs)
    missed = residual.copy()
    for part in rows.groupby(BITS).indices.values():
        if len(part) < 2:
            continue
        nearest = cKDTree(places[part]).query(places[part], k=min(NEIGHBOURS + 1, len(part)))[1]
        other = nearest != np.arange(len(part))[:, None]
        other[other.all(axis=1), -1] = False  # itself is behind equal ones
        nearest = nearest[other].reshape(len(part), -1)
        missed[part] -= np.median(residual[part][nearest], axis=1)
    return missed


def _off_trend(features: np.ndarray, values: np.ndarray) -> np.ndarray:
    """What least absolute deviations leave of values (rows,) over linear features (rows, columns): outliers do not bend that trend."""
    centred = features - features.mean(axis=0)
    scale = centred.std(axis=0)
    used = scale > 0
    X = np.column_stack([np.ones(len(values)), centred[:, used] / scale[used]])
    weight = np.ones(len(values))
    residual = values
    for _ in range(ITERATIONS):
        weighted = X.T * weight
        residual = values - X @ np.linalg.solve(
            weighted @ X + RIDGE * weight.sum() * np.eye(X.shape[1]), weighted @ values
        )
        weight = 1 / np.maximum(np.abs(residual), SMALLEST)
    return residual


def _places(rows: pd.DataFrame) -> np.ndarray:
    """log2 of N, M, K and the number of inputs, (rows, 4): where a shape lies among the others."""
    return np.log2(np.column_stack(sizes(rows)))


def _work(rows: pd.DataFrame) -> np.ndarray:
    """log of N x M x K, (rows,)."""
    return np.log(np.prod(sizes(rows)[:3], axis=0))


def _describe(row: pd.Series, unit: str) -> str:
    """`row 37 of chip: in_channels 205, out_channels 223, activations 8 x weights 4 bits, latency 1e+06 cycles`."""
    shape = [f"{column} {row[column]}" for column in SHAPE if row[column] != 1]
    bits = [f"activations {row['act_bits']} x weights {row['weight_bits']} bits"] if row["weight_bits"] else []
    latency = f"latency {row['latency']:,.6g} {unit}".strip()
    return f"{row['place']}: {', '.join([*shape, *bits, latency])}"


def _count(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
