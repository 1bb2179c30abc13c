"""Physical structure times a learned residual."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mico_runner.proxy import known_shapes, residual
from mico_runner.proxy.strategies import Strategy, register
from mico_runner.proxy.strategies.structural import Structural


@register(
    "hybrid",
    params={
        "power": {"type": "number", "min": 1, "max": 8},
        "bit_penalty": {"type": "number", "min": 0, "max": 1000},
        "runs": {"type": "boolean"},
        "tiled": {"type": ["boolean", "string"], "allowed": [False, True, "tables"]},
        "wide": {"type": "boolean"},
        "tune": {"type": "boolean"},
        "complete": {"type": "boolean"},
    },
)
class Hybrid(Strategy):
    """`structural`, corrected by a Gaussian process on its log residual that fades to 1 away from the training shapes.

    A shape that was profiled at some bit-widths is completed from its own rows instead (`known_shapes`).

    Args:
        power, bit_penalty, runs, tiled, wide: of `structural`.
        tune: choose the process' hyper-parameters by leave-one-shape-out error; otherwise fixed ones.
        complete: complete known shapes; without, they are predicted as any other.
    """

    def __init__(
        self,
        power: float = 1,
        bit_penalty: float = 1e-3,
        runs: bool = False,
        tiled: bool | str = False,
        wide: bool = False,
        tune: bool = True,
        complete: bool = True,
        seed: int = 0,
    ) -> None:
        self.power = power
        self.bit_penalty = bit_penalty
        self.runs = runs
        self.tiled = tiled
        self.wide = wide
        self.tune = tune
        self.complete = complete
        self.seed = seed

    def fit(self, table: pd.DataFrame, latency: np.ndarray) -> Hybrid:
        latency, rng = np.asarray(latency, dtype=float), np.random.default_rng(self.seed)
        self.structure_ = Structural(self.power, self.bit_penalty, self.runs, self.tiled, self.wide).fit(table, latency)
        self.residual_ = residual.fit(table, np.log(latency / self.structure_.predict(table)), self.tune, rng)
        self.known_ = known_shapes.fit(table, latency, rng) if self.complete else None
        return self

    def predict(self, table: pd.DataFrame) -> np.ndarray:
        unknown = self.structure_.predict(table) * np.exp(residual.predict(self.residual_, table))
        return known_shapes.predict(self.known_, table, unknown)
