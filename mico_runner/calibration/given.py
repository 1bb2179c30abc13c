"""A file of efficiency curves that a spec names: a profile that `calibrate` wrote, or hard-coded curves of another tool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mico_runner.calibration import assumed, cases, figures, profile
from mico_runner.calibration.roofline import curve_name
from mico_runner.errors import UsageError


def read(path: Path, with_networks: bool) -> dict[str, Any]:
    """{"profile": ...} or {"curves": curves by operation}.

    Args:
        with_networks: whether whole networks are estimated: every operation with FLOPs then needs a curve.

    Raises:
        UsageError: naming the file and the key; UnknownName for an operation without a curve.
    """
    if path.suffix != ".json" or profile.is_profile(figures.load(path)):
        found: dict[str, Any] = {"profile": profile.read(path)}
        try:
            names = set(profile.roofline(found["profile"], "fp32").compute)
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from None
    else:
        found = {"curves": assumed.read(path)}
        names = set(found["curves"])
    for op in cases.COMPUTING if with_networks else ():
        curve_name(op, names)
    return found
