"""Held-out predictions of candidate estimators by grouped folds inside a training set: what `auto` and `ensemble` choose by.

Only rows of the training set are used, so an error measured outside stays honest.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.base import clone

from mico_runner.proxy.strategies import Strategy
from mico_runner.validation.protocols import group_ids, splits

FOLDS = 8


def held_out_logs(candidates: list[Strategy], table: pd.DataFrame, latency: np.ndarray, seed: int) -> np.ndarray | None:
    """log prediction of each candidate for every row, its shape left out, float64 (candidates, rows).

    None with fewer than two shapes: there is nothing to leave out.
    """
    latency = np.asarray(latency, dtype=float)
    if len(np.unique(group_ids(table))) < 2:
        return None
    logs = np.empty((len(candidates), len(table)))
    for train, test in splits("group_kfold", table, folds=FOLDS, seed=seed):
        learned, asked = table.iloc[train], table.iloc[test]
        for number, candidate in enumerate(candidates):
            fitted = clone(candidate).fit(learned, latency[train])
            logs[number, test] = np.log(fitted.predict(asked))
    return logs
