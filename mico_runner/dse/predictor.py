"""log2 of a design's cycles from few labels of its kernel, with or without what other kernels teach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

TREES = 200
DEPTH, RATE, ROUNDS = 3, 0.08, 250  # of boosting on the labels of one kernel
POOLED_DEPTH, POOLED_ROUNDS = 6, 150  # on all others
ENOUGH = 20  # labels from which on the kernel's own predictor stands alone, and learns ranks, too; with fewer, what the prior leaves


@dataclass(frozen=True)
class Kernel:
    """A kernel that others learn from: `shared` (designs, features), `cycles` (log2), `iterations` (log2, without pragmas)."""

    shared: np.ndarray
    cycles: np.ndarray
    iterations: float


class Pooled:
    """Cycles beside the kernel's iterations, learned from all kernels at once; each kernel weighs as the root of its designs."""

    def fit(self, kernels: Sequence[Kernel], seed: int) -> Pooled:
        from xgboost import XGBRegressor

        weights = np.concatenate([np.full(len(k.cycles), len(k.cycles) ** -0.5) for k in kernels])
        self._model = XGBRegressor(
            n_estimators=POOLED_ROUNDS,
            max_depth=POOLED_DEPTH,
            learning_rate=RATE,
            subsample=0.7,
            colsample_bytree=0.6,
            n_jobs=1,
            random_state=seed,
        )
        features = np.vstack([k.shared for k in kernels])
        self._model.fit(features, np.concatenate([k.cycles - k.iterations for k in kernels]), sample_weight=weights)
        return self

    def predict(self, shared: np.ndarray, iterations: float) -> np.ndarray:
        """(designs,) log2 of cycles."""
        found: np.ndarray = np.asarray(self._model.predict(shared), dtype=float) + iterations
        return found


def few(own: np.ndarray, prior: np.ndarray | None, labelled: np.ndarray, cycles: np.ndarray, seed: int) -> np.ndarray:
    """(designs,) log2 of the cycles of all designs of a kernel: the mean of boosted and of randomised trees.

    With `ENOUGH` labels half of the trees learn ranks, so that a few designs that are a thousand times slower do not take all splits;
    a rank becomes cycles by the labels between which it lies.

    Args:
        own: (designs, features).
        prior: (designs,) what other kernels teach; None: nothing.
        labelled: indices of designs whose cycles are known.
        cycles: (labelled,) log2.
    """
    if prior is None and not len(labelled):
        raise ValueError("neither labels nor a prior")
    if not len(labelled):
        return np.asarray(prior)
    offset = np.zeros(len(own))
    if prior is not None:
        own = np.column_stack([own, prior])
        if len(labelled) < ENOUGH:
            offset = prior + np.mean(cycles - prior[labelled])
    found: np.ndarray = _trees(own, labelled, cycles - offset[labelled], seed) + offset
    if len(labelled) < ENOUGH:
        return found
    rank = np.searchsorted(np.sort(cycles), cycles, "right") / len(cycles)
    order = np.argsort(rank, kind="stable")
    found += np.interp(_trees(own, labelled, rank, seed), rank[order], cycles[order])
    return found / 2


def _trees(own: np.ndarray, labelled: np.ndarray, target: np.ndarray, seed: int) -> np.ndarray:
    """(designs,) `target` of all designs, learned from that of those labelled."""
    boosted, randomised = (model(seed).fit(own[labelled], target).predict(own) for model in (_boosted, _randomised))
    found: np.ndarray = (np.asarray(boosted, dtype=float) + randomised) / 2
    return found


def validity(own: np.ndarray, labelled: np.ndarray, valid: np.ndarray, seed: int) -> np.ndarray:
    """(designs,) probability that synthesis gives a valid design, from those that were tried."""
    from sklearn.ensemble import ExtraTreesClassifier

    if valid.all() or not valid.any():
        return np.full(len(own), float(valid[0]))
    model = ExtraTreesClassifier(TREES, max_features=0.5, random_state=seed, n_jobs=1).fit(own[labelled], valid)
    found: np.ndarray = model.predict_proba(own)[:, 1]
    return found


def _boosted(seed: int):  # type: ignore[no-untyped-def]
    from xgboost import XGBRegressor

    return XGBRegressor(
        n_estimators=ROUNDS,
        max_depth=DEPTH,
        learning_rate=RATE,
        subsample=0.8,
        colsample_bylevel=0.5,
        n_jobs=1,
        random_state=seed,
        tree_method="exact",
    )


def _randomised(seed: int):  # type: ignore[no-untyped-def]
    from sklearn.ensemble import ExtraTreesRegressor

    return ExtraTreesRegressor(TREES, random_state=seed, n_jobs=1)
