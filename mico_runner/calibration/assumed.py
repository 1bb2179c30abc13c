"""Hard-coded curves of other tools as data: taken as they are, never fitted, and called "assumed" wherever they appear."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from mico_runner.calibration.curves import ASSUMED, EXTRAPOLATION, INTERPOLATION, SPLINE, Curve, logs
from mico_runner.errors import UsageError


def curve(
    flops: list[float],
    efficiency: list[float],
    extrapolation: str = "clamp",
    std_dev: list[float] | float | None = None,
    interpolation: str = "spline",
) -> Curve:
    """A curve from figures that somebody wrote down: taken as they are and marked "assumed".

    `std_dev` (of the efficiency: as many, or one for all) gives its band; without it the band is nan.
    Raises UsageError as `fit` does, and for an interpolation outside `INTERPOLATION`.
    """
    if interpolation not in INTERPOLATION:
        raise UsageError(f"interpolation is {interpolation!r}; allowed: {', '.join(INTERPOLATION)}")
    if extrapolation not in EXTRAPOLATION:
        raise UsageError(f"extrapolation is {extrapolation!r}; allowed: {', '.join(EXTRAPOLATION)}")
    t, v = logs(np.asarray(flops), np.asarray(efficiency))
    if len(np.unique(t)) < len(t):
        raise UsageError("curve: a size occurs twice")
    error = float("nan")
    if std_dev is not None:
        spread = np.asarray(std_dev, dtype=float)
        spread = np.full(len(v), spread) if spread.ndim == 0 else spread
        if spread.shape != v.shape or not (np.isfinite(spread) & (spread >= 0)).all():
            raise UsageError(f"curve: std_dev must be one or {len(v)} numbers, none negative")
        error = float(np.sqrt(((spread / np.exp(v)) ** 2).mean()))
    order = np.argsort(t)
    knots = {"log_x": t[order].tolist(), "log_y": v[order].tolist()}
    if interpolation != "spline":
        knots["between"] = interpolation
    ends = float(np.exp(t.min())), float(np.exp(t.max())), len(t)
    return Curve(SPLINE, knots, {}, *ends, error, extrapolation, ASSUMED)


def read(path: Path) -> dict[str, Curve]:
    """Hard-coded curves of other tools: a JSON mapping of operation to `flops`, `measured_efficiency`, `std_dev`, `interpolation`,
    `extrapolation` ("clamp", "slope"; see `INTERPOLATION` for the other one); all but the first two may be absent.

    Raises UsageError naming the file and the operation.
    """
    data = load(path)
    if not isinstance(data, dict):
        raise UsageError(f"{path}: a mapping of operation to curve is needed")
    known = {"flops", "measured_efficiency", "std_dev", "interpolation", "extrapolation"}
    found = {}
    for name, entry in data.items():
        if not isinstance(entry, dict) or not {"flops", "measured_efficiency"} <= set(entry) <= known:
            keys = ", ".join(entry) if isinstance(entry, dict) else type(entry).__name__
            raise UsageError(
                f"{path}: {name}: found {keys}; needed: flops, measured_efficiency; allowed: {', '.join(sorted(known))}"
            )
        rest = {k: entry[k] for k in ("extrapolation", "std_dev", "interpolation") if k in entry}
        try:
            found[name] = curve(entry["flops"], entry["measured_efficiency"], **rest)
        except (UsageError, ValueError, TypeError) as error:
            raise UsageError(f"{path}: {name}: {error}") from None
    return found


def load(path: Path) -> Any:
    """The data of a JSON file. Raises UsageError naming it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read as JSON: {error}") from None
