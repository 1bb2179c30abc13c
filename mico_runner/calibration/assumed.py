"""Hard-coded curves of other tools as data: taken as they are, never fitted, and called "assumed" wherever they appear."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mico_runner.calibration import figures
from mico_runner.calibration.curves import ASSUMED, EXTRAPOLATION, INTERPOLATION, SPLINE, Curve, logs
from mico_runner.errors import UsageError

MOST_FLOPS = 1e24  # of one operator
EFFICIENCY_RANGE = (1e-9, 10.0)  # published ones go to 5: FLOP/s over a peak that was stated too low
NEARLY_EQUAL = 1e-6  # in log size; a slope between such neighbours would mean nothing


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
    if len(t) > 1 and np.diff(np.sort(t)).min() < NEARLY_EQUAL:
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

    Raises UsageError naming the file, the operation and the key.
    """
    data = figures.load(path)
    if not isinstance(data, dict) or not data:
        raise UsageError(f"{path}: a mapping of operation to curve is needed")
    return {name: entry(f"{path}: {name}", each) for name, each in data.items()}


def entry(where: str, data: Any) -> Curve:
    """One curve of such a file; `where` begins the messages. Raises UsageError."""
    needed, known = ("flops", "measured_efficiency"), ("std_dev", "interpolation", "extrapolation")
    if not isinstance(data, dict) or not set(needed) <= set(data) <= {*needed, *known}:
        keys = ", ".join(map(str, data)) if isinstance(data, dict) else type(data).__name__
        allowed = ", ".join(sorted({*needed, *known}))
        raise UsageError(f"{where}: found {keys}; needed: {', '.join(needed)}; allowed: {allowed}")
    flops = figures.numbers(f"{where}: flops", data["flops"], 1, MOST_FLOPS)
    efficiency = figures.numbers(f"{where}: measured_efficiency", data["measured_efficiency"], *EFFICIENCY_RANGE)
    rest = {key: data[key] for key in known if data.get(key) is not None}
    if "std_dev" in rest:
        check = figures.numbers if isinstance(rest["std_dev"], list) else figures.number
        check(f"{where}: std_dev", rest["std_dev"], 0, EFFICIENCY_RANGE[1])
    try:
        return curve(flops, efficiency, **rest)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None
