"""Cost models of accelerators: one file per kind, an entry is an `Accelerator`.

    trace = accelerators.of(device).simulate(table)     # cycles, energy and what they are made of, a row per kernel

A kind is the `kind` of a device profile, and a target of the steps `simulate` and `profile`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mico_runner.errors import UnknownName, UsageError
from mico_runner.registry import Registry

if TYPE_CHECKING:
    from mico_runner.accelerators.base import Accelerator
    from mico_runner.hardware import Hardware

ACCELERATORS = Registry("accelerator", __name__)
register = ACCELERATORS.register


def of(device: Hardware) -> Accelerator:
    """The cost model of a device. Raises UsageError: its kind has none."""
    try:
        kind = ACCELERATORS.get(device.kind)
    except UnknownName as error:
        allowed = f"a simulated kind: {', '.join(error.known)}"
        raise UsageError(f"hardware {device.name!r} is of kind {device.kind!r}; allowed: {allowed}") from None
    model: Accelerator = kind(device)
    return model
