"""Kernels on the model of systolic arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from mico_runner.accelerators import systolic
from mico_runner.hardware import Hardware
from mico_runner.profiling.sources import simulator_conditions
from mico_runner.profiling.targets import Measurement, Target, register


@register("systolic")
class Systolic(Target):
    """Cycles on a systolic array by closed forms; deterministic, so that nothing is repeated."""

    unit = "cycles"

    def conditions(self, tables: dict[str, pd.DataFrame], hardware: Hardware) -> dict[str, Any]:
        return simulator_conditions(systolic)

    def measure(self, table: pd.DataFrame, hardware: Hardware, repeats: int, work: Path) -> Measurement:
        return Measurement(systolic.cycles(table, hardware))
