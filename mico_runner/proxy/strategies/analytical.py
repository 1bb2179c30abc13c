"""The accelerator's own simulator instead of anything learned."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mico_runner import accelerators, hardware
from mico_runner.proxy.strategies import Strategy, register


@register("analytical", params={"hardware": {"type": "string"}})
class Analytical(Strategy):
    """Simulated latency of an accelerator, times one factor learned from the profile.

    The factor is the median of measured / simulated: 1 where the profile is in cycles and the simulator is exact, the cycle time where
    the profile is in ns.
    """

    LEARNS = False

    def __init__(self, hardware: str = "bitfusion") -> None:
        self.hardware = hardware

    def fit(self, table: pd.DataFrame, latency: np.ndarray) -> Analytical:
        self.factor_ = float(np.median(latency / self._simulated(table)))
        return self

    def predict(self, table: pd.DataFrame) -> np.ndarray:
        return self.factor_ * self._simulated(table)

    def _simulated(self, table: pd.DataFrame) -> np.ndarray:
        device = hardware.load(self.hardware)
        return accelerators.of(device).cycles(table).astype(np.float64)
