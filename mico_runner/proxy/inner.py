"""Held-out error of candidate estimators by grouped folds inside a training set: what `auto` and `ensemble` choose by.

Only rows of the training set are used, so an error measured outside stays honest.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.base import clone

from mico_runner.proxy.strategies import Strategy
from mico_runner.validation.metrics import absolute_percentage_errors
from mico_runner.validation.protocols import group_ids, splits

FOLDS = 4


def held_out_errors(candidates: list[Strategy], table: pd.DataFrame, latency: np.ndarray, seed: int) -> np.ndarray:
    """Mean absolute percentage error of each candidate on shapes left out, float64 (candidates,).

    With fewer than two shapes there is nothing to leave out: the errors are all 0.
    """
    latency = np.asarray(latency, dtype=float)
    if len(np.unique(group_ids(table))) < 2:
        return np.zeros(len(candidates))
    errors = np.empty((len(candidates), len(table)))
    for train, test in splits("group_kfold", table, folds=FOLDS, seed=seed):
        for number, candidate in enumerate(candidates):
            fitted = clone(candidate).fit(table.iloc[train], latency[train])
            errors[number, test] = absolute_percentage_errors(latency[test], fitted.predict(table.iloc[test]))
    return errors.mean(axis=1)
