"""Which simulator runs a device: one module per kind of hardware, each with `cycles(table, device)` and `simulate(table, device)`.

A new kind is one line here. Modules are imported when they are asked for, so that naming the kinds, as specs do, costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from mico_runner.errors import UsageError

if TYPE_CHECKING:
    from mico_runner.hardware import Hardware

KINDS = (
    "bitfusion",
    "spatial",
    "systolic",
)  # kind of hardware = name of its module = name of the simulate and profile targets


def simulator(device: Hardware) -> ModuleType:
    """The simulator of a device's kind. Raises UsageError: there is none."""
    if device.kind not in KINDS:
        allowed = f"a simulated kind: {', '.join(KINDS)}"
        raise UsageError(f"hardware {device.name!r} is of kind {device.kind!r}; allowed: {allowed}")
    return import_module(f"mico_runner.accelerators.{device.kind}")
