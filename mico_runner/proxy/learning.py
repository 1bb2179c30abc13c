"""Learning curves: how the error on unseen shapes falls with the number of profiled rows, by how the rows are sampled."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd

from mico_runner.kernel_table import BITS, SHAPE
from mico_runner.proxy.adaptive import FIRST, next_rows
from mico_runner.proxy.strategies import Strategy, for_unseen_shapes
from mico_runner.validation.metrics import absolute_percentage_errors
from mico_runner.validation.protocols import splits

STEP = 16  # rows that adaptive sampling chooses before it fits anew
TEST_FOLDS = 4  # a quarter of the shapes is kept for testing

Sampler = Callable[
    [pd.DataFrame, np.ndarray, int, np.random.Generator], np.ndarray
]  # pool, latency, count -> positions


def learning_curve(
    estimator: Strategy, table: pd.DataFrame, latency: np.ndarray, sizes: Iterable[int], repeats: int, seed: int
) -> pd.DataFrame:
    """Error on shapes that were kept apart, for growing parts of the rest.

    Args:
        table, latency: a profile of one kind of kernel, (rows,) each.
        sizes: numbers of rows; those beyond what there is are replaced by all there is.
        repeats: other shapes are kept apart, and other rows drawn, each time.

    Returns:
        One row per sampler ("random", "lhs", "adaptive"), size and repeat: sampler, rows, repeat, mape (a fraction).
    """
    halves = [splits("group_kfold", table, folds=TEST_FOLDS, seed=seed + repeat)[0] for repeat in range(repeats)]
    most = min(len(train) for train, _ in halves)
    counts = sorted({min(size, most) for size in sizes})
    points = []
    for repeat, (train, test) in enumerate(halves):
        pool, measured = table.iloc[train], latency[train]
        for name, sampler in SAMPLERS.items():
            order = sampler(pool, measured, counts[-1], np.random.default_rng([seed, repeat]))
            for count in counts:
                rows = order[:count]
                fitted = for_unseen_shapes(estimator).fit(pool.iloc[rows], measured[rows])
                errors = absolute_percentage_errors(latency[test], fitted.predict(table.iloc[test]))
                points.append({"sampler": name, "rows": count, "repeat": repeat, "mape": float(errors.mean())})
    return pd.DataFrame(points)


def rows_needed(curve: pd.DataFrame, sampler: str) -> float:
    """Rows with which a sampler is as good as random sampling with all of its rows, as a part of these; nan if it never is.

    As good: the mean error is no more than one standard error above (the one-standard-error rule, L. Breiman et al. 1984).
    """
    most = curve["rows"].max()
    final = curve.loc[(curve["sampler"] == "random") & (curve["rows"] == most), "mape"]
    limit = final.mean() + (final.std() / np.sqrt(len(final)) if len(final) > 1 else 0.0)
    mean = curve[curve["sampler"] == sampler].groupby("rows")["mape"].mean()
    reached = mean.index[mean <= limit]
    return float(reached[0] / most) if len(reached) else float("nan")


def _random(pool: pd.DataFrame, latency: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    return rng.permutation(len(pool))[:count]


def _lhs(pool: pd.DataFrame, latency: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """The nearest free kernel to each point of a Latin hypercube over the ranks of sizes and bits."""
    values = pool[[*SHAPE, *BITS]]
    ranks = values.loc[:, values.nunique() > 1].rank(pct=True).to_numpy()
    if not ranks.shape[1]:
        return rng.permutation(len(pool))[:count]  # all alike: nothing to spread over
    free, chosen = np.ones(len(pool), dtype=bool), []
    cube = (np.stack([rng.permutation(count) for _ in ranks.T], axis=1) + rng.random((count, ranks.shape[1]))) / count
    for point in cube:
        distance = np.where(free, ((ranks - point) ** 2).sum(axis=1), np.inf)
        chosen.append(int(distance.argmin()))
        free[chosen[-1]] = False
    return np.array(chosen)


def _adaptive(pool: pd.DataFrame, latency: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    rows = np.zeros(0, dtype=int)
    while len(rows) < count:
        step = min(FIRST if not len(rows) else STEP, count - len(rows))
        rows = np.concatenate([rows, next_rows(pool, rows, latency[rows], step)])
    return rows


SAMPLERS: dict[str, Sampler] = {"random": _random, "lhs": _lhs, "adaptive": _adaptive}
