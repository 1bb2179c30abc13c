"""This project's C kernels on an emulated processor."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mico_runner.errors import UsageError
from mico_runner.hardware import Hardware
from mico_runner.profiling.targets import Measurement, Target, register
from mico_runner.profiling.targets.host import kernel_version
from mico_runner.profiling.targets.rtl import in_programs, program_sources
from mico_runner.simulate import cores, qemu


@register("qemu")
class Qemu(Target):
    """Instructions of one call of a C kernel on QEMU: no cycles, for there is no pipeline; deterministic."""

    unit = "instructions"

    def conditions(self) -> dict[str, Any]:
        compilers = {board.gcc: name for name, board in qemu.MACHINES.items()}
        versions = {gcc: qemu.compiler_version(on) if shutil.which(gcc) else None for gcc, on in compilers.items()}
        sources = program_sources("rv32", "cortex-m")
        return {"compilers": versions, "scratch": self.scratch, "kernels_sha256": kernel_version(*sources)}

    def measure(self, table: pd.DataFrame, hardware: Hardware, repeats: int, work: Path) -> Measurement:
        if hardware.core not in cores.QEMU or hardware.latency_unit != self.unit:
            allowed = "a device with a core, whose latency_unit is instructions"
            raise UsageError(f"profile.target is qemu, but hardware is {hardware.name!r}; allowed: {allowed}")
        machine = cores.QEMU[hardware.core]

        def run(folder: Path, images: list[np.ndarray]) -> list[np.ndarray]:
            result = qemu.run(qemu.build(folder, machine), images, machine)
            return [run.instructions for run in result.networks]

        return Measurement(in_programs(table, work, run, self.scratch))
