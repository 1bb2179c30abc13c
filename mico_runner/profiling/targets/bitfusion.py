"""Kernels on the BitFusion simulator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from mico_runner.accelerators import bitfusion as simulator
from mico_runner.hardware import Hardware
from mico_runner.profiling.sources import simulator_conditions
from mico_runner.profiling.targets import Measurement, Target, register


@register("bitfusion")
class BitFusion(Target):
    """Cycles on the BitFusion simulator; deterministic, so that nothing is repeated."""

    unit = "cycles"

    def conditions(self, tables: dict[str, pd.DataFrame], hardware: Hardware) -> dict[str, Any]:
        return simulator_conditions(simulator)

    def measure(self, table: pd.DataFrame, hardware: Hardware, repeats: int, work: Path) -> Measurement:
        return Measurement(simulator.cycles(table, hardware))
