"""Random forest, stored as plain arrays."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import RandomForestRegressor
from sklearn.tree._tree import Tree

from mico_runner.proxy.regressors import register


@register("rf")
class RandomForest(RegressorMixin, BaseEstimator):
    """Random forest of regression trees (scikit-learn)."""

    def __init__(
        self, n_estimators: int = 100, max_depth: int | None = None, min_samples_leaf: int = 1, seed: int = 0
    ) -> None:
        self.n_estimators = n_estimators
        self.max_depth = max_depth
        self.min_samples_leaf = min_samples_leaf
        self.seed = seed

    def fit(self, X: np.ndarray, y: np.ndarray) -> RandomForest:
        forest = RandomForestRegressor(
            n_estimators=self.n_estimators,
            max_depth=self.max_depth,
            min_samples_leaf=self.min_samples_leaf,
            random_state=self.seed,
            n_jobs=1,
        ).fit(X, y)
        trees = [estimator.tree_ for estimator in forest.estimators_]
        self.features_ = X.shape[1]
        self.depths_ = np.array([tree.max_depth for tree in trees])
        self.sizes_ = np.array([tree.node_count for tree in trees])
        self.nodes_ = np.concatenate([tree.__getstate__()["nodes"] for tree in trees])
        self.values_ = np.concatenate([tree.value for tree in trees])
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Mean of the trees; float64 (rows,). The trees are always rebuilt from the stored arrays, so saving changes nothing."""
        X = np.ascontiguousarray(X, dtype=np.float32)  # as scikit-learn's forest does
        total = np.zeros(len(X))
        start = 0
        for depth, size in zip(self.depths_, self.sizes_, strict=True):
            tree = Tree(int(self.features_), np.ones(1, dtype=np.intp), 1)
            part = slice(start, start + int(size))
            state = {"nodes": self.nodes_[part], "values": self.values_[part]}
            tree.__setstate__({"max_depth": int(depth), "node_count": int(size), **state})
            total += tree.predict(X)[:, 0]
            start += int(size)
        return total / len(self.sizes_)
