"""Kernels on the model of spatial arrays with a hierarchy of memories."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from mico_runner.accelerators import spatial
from mico_runner.hardware import Hardware
from mico_runner.profiling.sources import simulator_conditions
from mico_runner.profiling.targets import Measurement, Target, register


@register("spatial")
class Spatial(Target):
    """Cycles on a spatial array under the best mapping found; deterministic, so that nothing is repeated."""

    unit = "cycles"

    def conditions(self, tables: dict[str, pd.DataFrame], hardware: Hardware) -> dict[str, Any]:
        return simulator_conditions(spatial)

    def measure(self, table: pd.DataFrame, hardware: Hardware, repeats: int, work: Path) -> Measurement:
        return Measurement(spatial.cycles(table, hardware))
