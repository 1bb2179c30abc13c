"""Where a profile's kernels are timed: on a target that runs programs, or by the cost model of an accelerator."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from mico_runner import accelerators
from mico_runner.accelerators.base import Accelerator
from mico_runner.errors import UnknownName, UsageError
from mico_runner.hardware import Hardware, simulated_kinds
from mico_runner.profiling.sources import simulator_conditions
from mico_runner.targets import TARGETS
from mico_runner.targets.base import KernelTimer, Measurement


class Simulated(KernelTimer):
    """Cycles on accelerators of one kind; deterministic, so that nothing is repeated."""

    unit = "cycles"

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def conditions(self, tables: dict[str, pd.DataFrame], hardware: Hardware) -> dict[str, Any]:
        return simulator_conditions(accelerators.ACCELERATORS.info(self.kind).file)

    def measure(self, table: pd.DataFrame, hardware: Hardware, repeats: int, work: Path) -> Measurement:
        return Measurement(self._model(hardware).cycles(table))

    def _model(self, hardware: Hardware) -> Accelerator:
        if hardware.kind != self.kind:
            raise UsageError(
                f"profile.target is {self.kind}, but hardware {hardware.name!r} is of kind {hardware.kind!r}"
            )
        return accelerators.of(hardware)


def target_of(name: str, scratch: str = "two_rows", each: Callable[..., Iterable[Any]] = map) -> KernelTimer:
    """The target of a spec's `profile` section: an entry of `TARGETS`, or a kind of accelerators; `each` as `Target` takes it.

    Raises UnknownName.
    """
    if name in simulated_kinds():
        return Simulated(name)
    try:
        target: KernelTimer = TARGETS.get(name)(scratch, each)
    except UnknownName as error:
        raise UnknownName("target", name, [*error.known, *simulated_kinds()]) from None
    return target
