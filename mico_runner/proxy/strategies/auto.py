"""The mean of those strategies that are the best on shapes left out of the training set, as far as these shapes can tell."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mico_runner.proxy import known_shapes
from mico_runner.proxy.inner import held_out_logs
from mico_runner.proxy.strategies import Strategy, register
from mico_runner.proxy.strategies.hybrid import Hybrid
from mico_runner.proxy.strategies.single import Single
from mico_runner.validation.protocols import group_ids

CLOSE = 2  # times the least error: a few shapes have a standard error that would let anything in


@register(
    "auto",
    params={
        "complete": {"type": "boolean"},
        "tiled": {"type": ["boolean", "string"], "allowed": [False, True, "tables"]},
    },
)
class Auto(Strategy):
    """Chosen by grouped folds inside the training set, so that the error measured outside it stays honest.

    What is chosen is the geometric mean of the best candidate and those within one standard error of it (L. Breiman et al. 1984) that err
    at most `CLOSE` times as much: which of them is best only chance decides, and their mean errs less than the one that chance picks.
    A shape that was profiled at some bit-widths is completed from its own rows (`known_shapes`), unless `complete` is false.
    `tiled`: of `structural`.
    """

    def __init__(self, complete: bool = True, tiled: bool | str = False, seed: int = 0) -> None:
        self.complete = complete
        self.tiled = tiled
        self.seed = seed

    def fit(self, table: pd.DataFrame, latency: np.ndarray) -> Auto:
        candidates = self.candidates()
        logs = held_out_logs(candidates, table, latency, self.seed)
        if logs is None:
            self.members_ = candidates[:1]
        else:
            good = _indistinguishable(np.abs(np.exp(logs) / latency - 1), group_ids(table))
            self.members_ = [candidates[number] for number in good]
        for member in self.members_:
            if isinstance(member, Hybrid):
                member.set_params(tune=True)  # once, not for every candidate and fold
            member.fit(table, latency)
        rng = np.random.default_rng(self.seed)
        self.known_ = known_shapes.fit(table, np.asarray(latency, dtype=float), rng) if self.complete else None
        return self

    def predict(self, table: pd.DataFrame) -> np.ndarray:
        unknown = np.exp(np.mean([np.log(member.predict(table)) for member in self.members_], axis=0))
        return known_shapes.predict(self.known_, table, unknown)

    def candidates(self) -> list[Strategy]:
        """Bit-widths free or alike; patches gathered in runs; costs that overlap; and trees, for data without that structure."""
        common = {"tiled": self.tiled, "tune": False, "complete": False, "seed": self.seed}
        candidates: list[Strategy] = [
            Hybrid(power=1, bit_penalty=1e-4, **common),
            Hybrid(power=1, bit_penalty=1e-1, **common),
            Hybrid(power=2, bit_penalty=1e-1, **common),
            Single(seed=self.seed),
        ]
        if not self.tiled:  # whose terms have the runs
            candidates.insert(2, Hybrid(power=1, bit_penalty=1e-4, runs=True, **common))
        return candidates


def _indistinguishable(errors: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """The best candidate and those whose excess over it is within its standard error; (candidates, rows), (rows,) -> positions."""
    rows = np.bincount(shape)
    by_shape = np.stack([np.bincount(shape, weights=e) / rows for e in errors])
    mean = by_shape.mean(axis=1)
    excess = by_shape - by_shape[mean.argmin()]
    within = excess.mean(axis=1) <= excess.std(axis=1, ddof=1) / np.sqrt(len(rows))
    return np.flatnonzero(within & (mean <= CLOSE * mean.min()))
