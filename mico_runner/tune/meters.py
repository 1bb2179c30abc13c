"""Energy of this machine: a GPU's by NVML, else the processor's by RAPL."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from mico_runner.errors import StepSkipped

POWERCAP = Path("/sys/class/powercap")
STEP_W = 25  # between the power limits that are tried on a GPU, as in the published traces
HINT = "pip install nvidia-ml-py for a GPU; for a processor make /sys/class/powercap/intel-rapl:*/energy_uj readable"


class Meter(ABC):
    """Counts energy and, where the machine lets it, limits power.

    Attributes:
        name: of what is measured.
        limits: power limits that can be set, W, ascending; one where it cannot be changed.
    """

    name: str
    limits: tuple[float, ...]

    @abstractmethod
    def joules(self) -> float:
        """Energy since some moment; only differences mean something."""

    @abstractmethod
    def limit(self, watts: float) -> None:
        """Set a power limit, one of `limits`."""

    def close(self) -> None:  # noqa: B027 (most have nothing to end)
        """Set back what was changed."""


def find() -> Meter:
    """The GPU's meter, or the processor's. Raises StepSkipped: this machine has none that can be read."""
    reasons = []
    for kind in (Nvml, Rapl):
        try:
            return kind()
        except StepSkipped as reason:
            reasons.append(str(reason))
    raise StepSkipped(f"no energy can be measured here: {'; '.join(reasons)}; {HINT}")


class Nvml(Meter):
    """The first GPU. Power limits need the right to set them (root); without it the present one stays."""

    def __init__(self) -> None:
        try:
            self._nvml: Any = importlib.import_module("pynvml")
        except ImportError:
            raise StepSkipped("NVML: the package nvidia-ml-py is missing") from None
        try:
            self._nvml.nvmlInit()
            self._gpu = self._nvml.nvmlDeviceGetHandleByIndex(0)
            self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._gpu)
            self._before = self._nvml.nvmlDeviceGetPowerManagementLimit(self._gpu)
            self.name = str(self._nvml.nvmlDeviceGetName(self._gpu))
        except self._nvml.NVMLError as error:
            raise StepSkipped(f"NVML: {error}") from None
        self.limits = self._settable()

    def joules(self) -> float:
        return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._gpu)) / 1e3  # of mJ

    def limit(self, watts: float) -> None:
        if len(self.limits) > 1:
            self._nvml.nvmlDeviceSetPowerManagementLimit(self._gpu, round(watts * 1e3))

    def close(self) -> None:
        self.limit(self._before / 1e3)

    def _settable(self) -> tuple[float, ...]:
        least, most = self._nvml.nvmlDeviceGetPowerManagementLimitConstraints(self._gpu)
        try:
            self._nvml.nvmlDeviceSetPowerManagementLimit(self._gpu, self._before)
        except self._nvml.NVMLError:
            return (self._before / 1e3,)
        return tuple(float(watts) for watts in range(round(least / 1e3), round(most / 1e3) + 1, STEP_W))


class Rapl(Meter):
    """All packages of the processor; their power limits are left as they are."""

    def __init__(self) -> None:
        self._packages = sorted(POWERCAP.glob("intel-rapl:[0-9]*"))
        self._packages = [place for place in self._packages if place.name.count(":") == 1]
        if not self._packages:
            raise StepSkipped(f"RAPL: no {POWERCAP}/intel-rapl:*")
        try:
            self._last = [self._read(place, "energy_uj") for place in self._packages]
            self._ranges = [self._read(place, "max_energy_range_uj") for place in self._packages]
            limits = [self._read(place, "constraint_0_power_limit_uw") for place in self._packages]
        except (OSError, ValueError) as error:
            raise StepSkipped(f"RAPL: {error}") from None
        self._total = 0.0
        self.name = f"processor, {len(self._packages)} packages"
        self.limits = (sum(limits) / 1e6,)

    def joules(self) -> float:
        now = [self._read(place, "energy_uj") for place in self._packages]
        for before, after, most in zip(self._last, now, self._ranges, strict=True):
            self._total += (after - before if after >= before else after - before + most) / 1e6  # it starts again at 0
        self._last = now
        return self._total

    def limit(self, watts: float) -> None:
        """Nothing: there is one."""

    @staticmethod
    def _read(place: Path, name: str) -> float:
        return float((place / name).read_text())
