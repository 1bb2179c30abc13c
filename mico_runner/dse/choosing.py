"""Which designs to synthesise for labels: some at random, then where trees disagree about most designs, and some that may be the best.

Each label where trees disagree takes away most of what is uncertain about all designs together (integrated variance: Cohn, Ghahramani and
Jordan, "Active learning with statistical models", JAIR 1996). Designs are as alike as often as trees of a forest put them into one leaf,
and each is uncertain by as much as the trees differ.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# Chosen by the errors on half of HLSyn's kernels (docs/results/hls-designs.md).
DRAWN = 20  # labels before the first forest
BATCH = 10  # labels between two forests
HOPEFUL = 3  # of a batch, those that may be the best
TREES = 60
NOISE = 0.01  # variance of a label, beside that of what is not known
CERTAIN = 0.05  # log2 of cycles by which no design is better known than that
ALWAYS = 0.1  # so much of the mean uncertainty every design has

Ask = Callable[[np.ndarray], np.ndarray]


def choose(own: np.ndarray, budget: int, ask: Ask, seed: int) -> np.ndarray:
    """(labels,) indices of the designs to label, in the order in which they are asked for: `budget`, or all where there are fewer.

    Args:
        own: (designs, features).
        budget: labels.
        ask: what synthesis says: log2 of the cycles of the designs with these indices. It is asked for each label once, a batch at a time.
    """
    labelled = np.random.default_rng(seed).permutation(len(own))[: min(DRAWN, budget)]
    cycles = ask(labelled)
    while len(labelled) < min(budget, len(own)):
        room = min(BATCH, budget - len(labelled), len(own) - len(labelled))
        mean, spread, alike = _forest(own, labelled, cycles, seed)
        hope = mean - spread
        hope[labelled] = np.inf
        hopeful = np.argsort(hope, kind="stable")[: min(HOPEFUL, room)]
        unsure = spread + ALWAYS * spread.mean() + CERTAIN
        noise = NOISE * float(unsure.mean()) ** 2
        known = np.concatenate([labelled, hopeful])
        longer = informative(alike * np.outer(unsure, unsure), known, len(labelled) + room, noise)
        cycles = np.concatenate([cycles, ask(longer[len(labelled) :])])
        labelled = longer
    return labelled


def informative(covariance: np.ndarray, known: np.ndarray, budget: int, noise: float) -> np.ndarray:
    """(budget,) `known`, then one by one the design whose label takes most variance from all designs.

    `covariance` (designs, designs) of what is predicted; `noise`: variance of a label.
    """
    left = covariance.copy()
    found: list[int] = []
    for i in range(budget):
        if i < len(known):
            at = int(known[i])
        else:
            gain = np.square(left).sum(axis=0) / (left.diagonal() + noise)
            gain[found] = -1.0
            at = int(gain.argmax())
        found.append(at)
        column = left[:, at].copy()
        left -= np.outer(column, column / (column[at] + noise))
    return np.array(found, dtype=int)


def _forest(
    own: np.ndarray, labelled: np.ndarray, cycles: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and standard deviation (designs,) over the trees; share of the trees in which two designs share a leaf (designs, designs)."""
    from scipy.spatial.distance import cdist
    from sklearn.ensemble import ExtraTreesRegressor

    forest = ExtraTreesRegressor(TREES, random_state=seed, n_jobs=1).fit(own[labelled], cycles)
    each = np.array([tree.predict(own) for tree in forest.estimators_])
    leaves = forest.apply(own)
    return each.mean(axis=0), each.std(axis=0), 1 - cdist(leaves, leaves, "hamming")
