"""A file of efficiency curves that a spec names: a profile that `calibrate` wrote, or hard-coded curves of another tool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mico_runner.calibration import assumed, cases, figures, profile
from mico_runner.calibration.curves import Curve
from mico_runner.calibration.profile import Profile
from mico_runner.calibration.roofline import curve_name
from mico_runner.errors import UsageError


@dataclass(frozen=True)
class Given:
    """Attributes:
    profile: that the curves are from; None: they are another tool's.
    curves: by operation, at fp32.
    """

    profile: Profile | None
    curves: Mapping[str, Curve]


def read(path: Path, with_networks: bool) -> Given:
    """What is in the file.

    Args:
        with_networks: whether whole networks are estimated: every operation with FLOPs then needs a curve.

    Raises:
        UsageError: naming the file and the key; UnknownName for an operation without a curve.
    """
    if path.suffix != ".json" or profile.is_profile(figures.load(path)):
        measured = profile.read(path)
        try:
            found = Given(measured, profile.roofline(measured, "fp32").compute or {})
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from None
    else:
        found = Given(None, assumed.read(path))
    for op in cases.COMPUTING if with_networks else ():
        curve_name(op, set(found.curves))
    return found
