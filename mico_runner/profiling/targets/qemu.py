"""This project's C kernels on an emulated processor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mico_runner.codegen.emit import ARM_CFLAGS, ARM_TARGET, RV32_CFLAGS, RV32_TARGET
from mico_runner.errors import UsageError
from mico_runner.hardware import Hardware
from mico_runner.profiling.kernel_code import version_of
from mico_runner.profiling.targets import Measurement, Target, register
from mico_runner.profiling.targets.rtl import compiled, in_programs
from mico_runner.targets import cores, qemu

CFLAGS = {"rv32": f"{RV32_TARGET} {RV32_CFLAGS}", "cortex-m3": f"{ARM_TARGET} {ARM_CFLAGS}"}


@register("qemu")
class Qemu(Target):
    """Instructions of one call of a C kernel on QEMU: no cycles, for there is no pipeline; deterministic."""

    unit = "instructions"

    def conditions(self, tables: dict[str, pd.DataFrame], hardware: Hardware) -> dict[str, Any]:
        machine = self._machine(hardware)
        about = {
            "machine": machine,
            "compiler": version_of(qemu.MACHINES[machine].gcc),
            "cflags": CFLAGS[machine],
            "scratch": self.scratch,
        }
        return {**about, "kernels": self.kernels(tables, hardware, about)}

    def kernels(
        self, tables: dict[str, pd.DataFrame], hardware: Hardware, conditions: dict[str, Any]
    ) -> dict[str, dict[str, str]] | None:
        gcc = qemu.MACHINES[self._machine(hardware)].gcc
        return compiled(tables, gcc, conditions["cflags"], self.scratch)

    def measure(self, table: pd.DataFrame, hardware: Hardware, repeats: int, work: Path) -> Measurement:
        machine = self._machine(hardware)

        def run(folder: Path, images: list[np.ndarray]) -> list[np.ndarray]:
            result = qemu.run(qemu.build(folder, machine), images, machine)
            return [run.instructions for run in result.networks]

        return Measurement(in_programs(table, work, run, self.scratch))

    def _machine(self, hardware: Hardware) -> str:
        if hardware.core not in cores.QEMU or hardware.latency_unit != self.unit:
            allowed = "a device with a core, whose latency_unit is instructions"
            raise UsageError(f"profile.target is qemu, but hardware is {hardware.name!r}; allowed: {allowed}")
        return cores.QEMU[hardware.core]
