"""The best of several strategies, or their mean, on shapes left out of the training set."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd

from mico_runner.proxy import known_shapes
from mico_runner.proxy.inner import held_out_logs
from mico_runner.proxy.strategies import Strategy, register
from mico_runner.proxy.strategies.hybrid import Hybrid
from mico_runner.proxy.strategies.single import Single


@register("auto", params={"complete": {"type": "boolean"}})
class Auto(Strategy):
    """Chosen by grouped folds inside the training set, so that the error measured outside it stays honest.

    What is chosen is one candidate or the geometric mean of some: candidates that are nearly as good as each other err differently.
    A shape that was profiled at some bit-widths is completed from its own rows (`known_shapes`), unless `complete` is false.
    """

    def __init__(self, complete: bool = True, seed: int = 0) -> None:
        self.complete = complete
        self.seed = seed

    def fit(self, table: pd.DataFrame, latency: np.ndarray) -> Auto:
        candidates = self.candidates()
        subsets = [
            list(c) for size in range(1, len(candidates) + 1) for c in combinations(range(len(candidates)), size)
        ]
        logs = held_out_logs(candidates, table, latency, self.seed)
        best = subsets[0]
        if logs is not None:
            best = min(subsets, key=lambda members: np.abs(np.exp(logs[members].mean(axis=0)) / latency - 1).mean())
        self.members_ = [candidates[number] for number in best]
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
        return [
            Hybrid(power=1, bit_penalty=1e-4, tune=False, complete=False, seed=self.seed),
            Hybrid(power=1, bit_penalty=1e-1, tune=False, complete=False, seed=self.seed),
            Hybrid(power=1, bit_penalty=1e-4, runs=True, tune=False, complete=False, seed=self.seed),
            Hybrid(power=2, bit_penalty=1e-1, tune=False, complete=False, seed=self.seed),
            Single(seed=self.seed),
        ]
