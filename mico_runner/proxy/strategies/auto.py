"""The mean of those strategies that are the best on shapes left out of the training set, as far as these shapes can tell.

Fewer than `FEW_SHAPES` shapes can tell nothing: leaving one out says how a predictor interpolates, and the error is in the extrapolation.
There all of six forms that fit about equally well are asked, from all physical terms to the four barest. They agree where the
profile settles the latency. Where they do not, the forecast is the one of least expected relative error if each of them is as likely
to be right: the median with weights 1 / latency (T. Gneiting, "Making and evaluating point forecasts", JASA 2011). It lies low, because
a forecast can be ten times too large but never more than all of the latency too small.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from mico_runner.proxy import known_shapes
from mico_runner.proxy.inner import held_out_logs
from mico_runner.proxy.strategies import Strategy, register
from mico_runner.proxy.strategies.hybrid import Hybrid
from mico_runner.proxy.strategies.single import Single
from mico_runner.proxy.strategies.structural import Structural
from mico_runner.proxy.terms import BAREST, BASIC
from mico_runner.validation.protocols import group_ids

FEW_SHAPES = (
    8  # below, forms are not chosen but combined; chosen on mico-small, bitfusion and this project's own profiles
)
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
    With fewer than `FEW_SHAPES` shapes it is what the module says of few of them.
    A shape that was profiled at some bit-widths is completed from its own rows (`known_shapes`), unless `complete` is false.
    `tiled`: of `structural`.
    """

    def __init__(self, complete: bool = True, tiled: bool | str = False, seed: int = 0) -> None:
        self.complete = complete
        self.tiled = tiled
        self.seed = seed

    def fit(self, table: pd.DataFrame, latency: np.ndarray) -> Auto:
        self.few_ = len(np.unique(group_ids(table))) < FEW_SHAPES
        if self.few_:
            self.members_ = self.forms()
        else:
            candidates = self.candidates()
            logs = held_out_logs(candidates, table, latency, self.seed)
            good = _indistinguishable(np.abs(np.exp(logs) / latency - 1), group_ids(table))
            self.members_ = [candidates[number] for number in good]
        for member in self.members_:
            if isinstance(member, Hybrid) and not self.few_:
                member.set_params(tune=True)  # once, not for every candidate and fold
            member.fit(table, latency)
        rng = np.random.default_rng(self.seed)
        self.known_ = known_shapes.fit(table, np.asarray(latency, dtype=float), rng) if self.complete else None
        return self

    def predict(self, table: pd.DataFrame) -> np.ndarray:
        logs = np.log([member.predict(table) for member in self.members_])
        unknown = np.exp(_least_relative_error(logs) if self.few_ else logs.mean(axis=0))
        return known_shapes.predict(self.known_, table, unknown)

    def forms(self) -> list[Strategy]:
        """Of few shapes: bit-widths free or alike, costs spread over all terms, and few terms that any kernel has."""
        common = {"tiled": self.tiled, "tune": False, "complete": False, "seed": self.seed}
        forms: list[Strategy] = [
            Hybrid(bit_penalty=1e-4, **common),
            Hybrid(bit_penalty=1e-1, **common),
            Structural(bit_penalty=1e-1, tiled=self.tiled, ridge=1e-2),
        ]
        if not self.tiled:  # whose terms are what their loops do: none of them is left out
            forms += [
                Structural(bit_penalty=1e-1, only=list(BASIC)),
                Structural(bit_penalty=1e-4, only=list(BASIC)),
                Structural(bit_penalty=1e-2, only=list(BAREST)),
            ]
        return forms

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


def _least_relative_error(logs: np.ndarray) -> np.ndarray:
    """log of each row's median with weights 1 / latency; log latencies (forms, rows) -> (rows,)."""
    logs = np.sort(logs, axis=0)
    weights = np.cumsum(np.exp(logs[0] - logs), axis=0)
    median = (weights >= weights[-1] / 2).argmax(axis=0)
    result: np.ndarray = np.take_along_axis(logs, median[None], axis=0)[0]
    return result


def _indistinguishable(errors: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """The best candidate and those whose excess over it is within its standard error; (candidates, rows), (rows,) -> positions."""
    rows = np.bincount(shape)
    by_shape = np.stack([np.bincount(shape, weights=e) / rows for e in errors])
    mean = by_shape.mean(axis=1)
    excess = by_shape - by_shape[mean.argmin()]
    within = excess.mean(axis=1) <= excess.std(axis=1, ddof=1) / np.sqrt(len(rows))
    return np.flatnonzero(within & (mean <= CLOSE * mean.min()))
