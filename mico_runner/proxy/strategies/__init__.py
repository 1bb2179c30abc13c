"""Latency strategies: scikit-learn estimators from the kernel table of one kind to latency.

Contract (checked by `mico_runner.testing.check_predictor`): `fit(table, latency)` and `predict(table)` take kernel tables
of one kind and read columns by name, never by position; predictions are positive and finite, do not depend on the order or number of
the rows, and are the same after `persist` has saved and loaded the estimator; the same seed gives the same model; `clone` works.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin, clone

from mico_runner.proxy import STRATEGIES

register = STRATEGIES.register


class Strategy(RegressorMixin, BaseEstimator):
    """Base class of all strategies; constructor parameters are stored under their own names, as scikit-learn asks.

    Attributes:
        LEARNS: whether the order of latencies comes from the profile. What does not learn cannot have learned a wrong profile: where it
            agrees with one, that profile has an order.
    """

    LEARNS = True

    @abstractmethod
    def fit(self, table: pd.DataFrame, latency: np.ndarray) -> Strategy:
        """Learn from a kernel table (rows of one kind) and its latencies, positive, shape (rows,)."""

    @abstractmethod
    def predict(self, table: pd.DataFrame) -> np.ndarray:
        """Latency of each row in the unit of the training latencies, float64 (rows,)."""


def for_unseen_shapes(estimator: Strategy) -> Strategy:
    """An unfitted copy that spends nothing on completing its training shapes; its predictions of other shapes are the same."""
    copy = clone(estimator)
    return copy.set_params(complete=False) if "complete" in copy.get_params(deep=False) else copy
