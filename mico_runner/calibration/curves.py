"""Efficiency curves: latency or efficiency of one kind of operator over its size, as data with provenance and error bars.

x is the work of an operator (FLOPs or bytes, > 0), y what was measured (> 0). Everything is fitted in log y, so errors are relative.
The shape is chosen by cross-validated error in log y; equal within a standard error, the one with the fewest parameters wins.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.optimize import curve_fit, isotonic_regression

from mico_runner.calibration import figures
from mico_runner.errors import UsageError

EXTRAPOLATION = ("clamp", "slope")
INTERPOLATION = ("spline", "log_linear", "linear")  # between knots: monotone in log-log, straight in log-log, straight
SPLINE_KNOTS = 5
BAND = 1.96  # standard errors of a 95 % band
LOG_LIMIT = 100.0  # of log sizes and log values in a file: e^100 is beyond every count and rate, and still a float
SLOPE_LIMIT = 1e6  # of fitted parameters, some of which the points hardly determine
MEASURED, ASSUMED = "measured", "assumed"


@dataclass(frozen=True)
class Shape:
    """A family of curves: `value(log x, parameters) -> log y`, its first guess, and how many points it needs."""

    value: Callable[..., np.ndarray]
    guess: Callable[[np.ndarray, np.ndarray], list[float]]
    parameters: tuple[str, ...]


def _piecewise(t, level, left, right, knee):
    return level + np.where(t < knee, left, right) * (t - knee)


def _saturating(t, top, half):
    """log of top · x / (x + half): the roofline's approach to its peak; half is the size of half the peak."""
    return top - np.logaddexp(0.0, half - t)


def _linear(t, start, slope):
    """log of start + slope x, both positive."""
    return np.logaddexp(start, slope + t)


SHAPES: dict[str, Shape] = {
    "constant": Shape(lambda t, level: np.full_like(t, level), lambda t, v: [v.mean()], ("level",)),
    "linear": Shape(_linear, lambda t, v: [v.min(), (v - t).mean()], ("log_start", "log_slope")),
    "log_linear": Shape(lambda t, level, slope: level + slope * t, lambda t, v: [v.mean(), 0.0], ("level", "slope")),
    "sigmoid": Shape(_saturating, lambda t, v: [v.max(), t.mean()], ("log_top", "log_half")),
    "piecewise": Shape(
        _piecewise, lambda t, v: [v.mean(), 0.1, 0.1, float(np.median(t))], ("level", "left", "right", "knee")
    ),
}
SPLINE = "spline"
NAMES = (*SHAPES, SPLINE)


@dataclass(frozen=True)
class Curve:
    """A fitted curve.

    Attributes:
        shape: a name of `NAMES`.
        parameters: values by name; of a spline its knots.
        errors: standard error of each parameter, nan where the points do not determine it.
        lowest, highest: x between which there are measurements.
        points: how many.
        cv_error: root mean square of log y, cross-validated; of an assumed curve what its author states, or nan.
        extrapolation: "clamp" (the value at the end) or "slope" (the curve goes on).
        provenance: "measured" or "assumed".
    """

    shape: str
    parameters: Mapping[str, object]
    errors: Mapping[str, float]
    lowest: float
    highest: float
    points: int
    cv_error: float
    extrapolation: str = "clamp"
    provenance: str = MEASURED

    def predict(self, x: np.ndarray) -> np.ndarray:
        """y at x, float64, any shape. Raises ValueError for x that is not positive."""
        x = np.asarray(x, dtype=float)
        if not (x > 0).all():
            raise ValueError("sizes must be positive")
        there, inside = np.log(x), np.log(np.clip(x, self.lowest, self.highest))
        goes_on = self.extrapolation == "slope"
        if self.shape != SPLINE:
            return np.exp(SHAPES[self.shape].value(there if goes_on else inside, *self.parameters.values()))
        value, slope = _between_knots(**self.parameters)
        return np.exp(value(inside) + (slope(inside) * (there - inside) if goes_on else 0.0))

    def extrapolates(self, x: np.ndarray) -> np.ndarray:
        """Whether x lies outside the measurements, bool."""
        x = np.asarray(x, dtype=float)
        return (x < self.lowest) | (x > self.highest)

    def band(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """95 % prediction band (low, high) from `cv_error`; nan where there is none."""
        y, spread = self.predict(x), np.exp(BAND * self.cv_error)
        return y / spread, y * spread

    def to_json(self) -> dict[str, object]:
        """As JSON-able data that `from_json` reads back."""
        return {k: dict(v) if isinstance(v, Mapping) else v for k, v in vars(self).items()}

    @staticmethod
    def from_json(data: Mapping[str, object]) -> Curve:
        """Raises UsageError for an unknown shape or key, and for values that make no curve."""
        figures.mapping("curve", data)
        if data.get("shape") not in NAMES:
            raise UsageError(f"curve: shape is {data.get('shape')!r}, allowed: {', '.join(NAMES)}")
        try:
            curve = Curve(**data)
        except TypeError as error:
            raise UsageError(f"curve: {error}") from None
        _check(curve)
        if curve.shape == SPLINE:
            return curve
        ordered = {name: curve.parameters[name] for name in SHAPES[curve.shape].parameters}  # files may sort their keys
        return replace(curve, parameters=ordered)


def _check(curve: Curve) -> None:
    """What a file may have got wrong; the error bars may be nan."""
    of = figures.mapping("curve: parameters", curve.parameters)
    needed = ("log_x", "log_y") if curve.shape == SPLINE else SHAPES[curve.shape].parameters
    if not set(needed) <= set(of) <= {*needed, *(("between",) if curve.shape == SPLINE else ())}:
        raise UsageError(f"curve: parameters are {', '.join(of)}; {curve.shape} has {', '.join(needed)}")
    if curve.shape == SPLINE:
        x, y = (figures.numbers(f"curve: {name}", of[name], -LOG_LIMIT, LOG_LIMIT) for name in needed)
        if len(x) != len(y) or any(b <= a for a, b in pairwise(x)):
            raise UsageError("curve: log_x must rise, and log_y have as many values")
        if of.get("between", "spline") not in INTERPOLATION:
            raise UsageError(f"curve: between is {of['between']!r}; allowed: {', '.join(INTERPOLATION)}")
    else:
        for name in needed:
            figures.number(f"curve: {name}", of[name], -SLOPE_LIMIT, SLOPE_LIMIT)
    figures.mapping("curve: errors", curve.errors)
    figures.number("curve: lowest", curve.lowest, 0, math.exp(LOG_LIMIT))
    figures.number("curve: highest", curve.highest, curve.lowest, math.exp(LOG_LIMIT))
    if curve.lowest == 0:
        raise UsageError("curve: lowest is 0; allowed: a positive size")
    figures.number("curve: points", curve.points, 1, math.inf)
    if not (isinstance(curve.cv_error, float) and math.isnan(curve.cv_error)):
        figures.number("curve: cv_error", curve.cv_error, 0, LOG_LIMIT)
    allowed = {"extrapolation": EXTRAPOLATION, "provenance": (MEASURED, ASSUMED)}
    for name, values in allowed.items():
        if getattr(curve, name) not in values:
            raise UsageError(f"curve: {name} is {getattr(curve, name)!r}; allowed: {', '.join(values)}")


def fit(
    x: np.ndarray, y: np.ndarray, shape: str, extrapolation: str = "clamp", weight: np.ndarray | None = None
) -> Curve:
    """The curve of one shape through the points, least squares in log y; `cv_error` is left nan.

    `weight` of each residual, positive; all alike when None.

    Raises UsageError when the shape is unknown, the points are too few for it, or it cannot be fitted.
    """
    t, v = logs(x, y)
    weight = np.ones(len(t)) if weight is None else np.asarray(weight, dtype=float)
    if shape not in NAMES or extrapolation not in EXTRAPOLATION:
        raise UsageError(
            f"curve: {shape!r}, {extrapolation!r}; allowed: {', '.join(NAMES)}; {', '.join(EXTRAPOLATION)}"
        )
    ends = float(np.exp(t.min())), float(np.exp(t.max())), len(t)
    if shape == SPLINE:
        knots = _knots(t, v, weight**2)
        return Curve(shape, knots, {}, *ends, float("nan"), extrapolation)
    family = SHAPES[shape]
    if len(np.unique(t)) < len(family.parameters):
        raise UsageError(f"curve: {len(np.unique(t))} sizes; {shape} needs {len(family.parameters)}")
    with np.errstate(all="ignore"):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore"
                )  # a covariance that cannot be estimated comes back as inf and is reported as nan
                values, covariance = curve_fit(family.value, t, v, p0=family.guess(t, v), sigma=1 / weight, maxfev=5000)
        except RuntimeError as error:
            raise UsageError(f"curve: {shape} cannot be fitted: {error}") from None
        errors = np.sqrt(np.diag(covariance))
    errors = [float(e) if np.isfinite(e) else float("nan") for e in errors]
    named = dict(zip(family.parameters, map(float, values), strict=True))
    return Curve(shape, named, dict(zip(family.parameters, errors, strict=True)), *ends, float("nan"), extrapolation)


def choose(
    x: np.ndarray,
    y: np.ndarray,
    shapes: tuple[str, ...] = NAMES,
    folds: int = 5,
    extrapolation: str = "clamp",
    seed: int = 0,
    fixed: np.ndarray | None = None,
) -> Curve:
    """The best shape by `folds`-fold cross-validation over distinct sizes: repeats of one size never straddle a fold.

    Args:
        fixed: share of each point's latency that the curve does not explain (its overhead), 0 to 1. With it y is an efficiency, points
            count by the rest of their latency, and `cv_error` is that of the whole latency.

    Raises UsageError when no shape can be fitted.
    """
    t, _ = logs(x, y)
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    fixed = np.zeros(len(x)) if fixed is None else np.asarray(fixed, dtype=float)
    weight = 1 - fixed
    sizes, which = np.unique(t, return_inverse=True)
    folds = min(folds, len(sizes))
    order = np.random.default_rng(seed).permutation(len(sizes))
    scores = {}
    for shape in shapes:
        try:
            fitted = fit(x, y, shape, extrapolation, weight)
            if folds < 2:
                squares = np.zeros(len(x)) if shape == "constant" else None
            else:
                squares = np.empty(len(x))
                for part in np.array_split(order, folds):
                    test = np.isin(which, part)
                    part_fit = fit(x[~test], y[~test], shape, "slope", weight[~test])
                    latency = fixed[test] + weight[test] * y[test] / part_fit.predict(x[test])
                    squares[test] = np.log(latency) ** 2  # of predicted over measured
        except UsageError:
            continue  # too few points for this shape
        if squares is not None:
            scores[shape] = fitted, squares
    if not scores:
        raise UsageError(f"curve: none of {', '.join(shapes)} fits {len(sizes)} distinct sizes")
    least = min(scores.values(), key=lambda s: s[1].mean())[1]
    limit = least.mean() + least.std() / np.sqrt(len(least))
    fitted, squares = next(scores[s] for s in NAMES if s in scores and scores[s][1].mean() <= limit)
    return Curve(**{**vars(fitted), "cv_error": float(np.sqrt(squares.mean()))})


def logs(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of sizes and values. Raises UsageError unless both are one-dimensional, as long, positive and finite."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if x.ndim != 1 or x.shape != y.shape or len(x) == 0:
        raise UsageError(f"curve: {x.shape} sizes and {y.shape} values")
    if not ((x > 0) & (y > 0) & np.isfinite(x) & np.isfinite(y)).all():
        raise UsageError("curve: sizes and values must be positive and finite")
    return np.log(x), np.log(y)


def _knots(t: np.ndarray, v: np.ndarray, weight: np.ndarray) -> dict[str, list[float]]:
    """At most SPLINE_KNOTS knots at quantiles of the sizes; between neighbours monotone, over all in the direction of the trend."""
    sizes, which = np.unique(t, return_inverse=True)
    if len(sizes) < 3:
        raise UsageError(f"curve: {len(sizes)} sizes; {SPLINE} needs 3")
    total = np.bincount(which, weight)
    means = np.bincount(which, weight * v) / total
    rising = np.polyfit(sizes, means, 1, w=np.sqrt(total))[0] >= 0
    smooth = isotonic_regression(means, weights=total, increasing=bool(rising)).x
    at = np.unique(np.quantile(sizes, np.linspace(0, 1, min(SPLINE_KNOTS, len(sizes)))))
    return {"log_x": at.tolist(), "log_y": np.interp(at, sizes, smooth).tolist()}


def _between_knots(log_x: list[float], log_y: list[float], between: str = "spline") -> tuple[Callable, Callable]:
    """The curve through the knots as functions of log x: its value in log y, and its slope."""
    if len(log_x) == 1:
        return (lambda t: np.full_like(t, log_y[0])), np.zeros_like
    if between == "spline":
        curve = PchipInterpolator(log_x, log_y)
        return curve, curve.derivative()
    if between == "log_linear":
        slopes = np.diff(log_y) / np.diff(log_x)
        return (lambda t: np.interp(t, log_x, log_y)), lambda t: slopes[_piece(t, log_x)]
    x, y = np.exp(log_x), np.exp(log_y)
    slopes = np.diff(y) / np.diff(x)

    def value(t: np.ndarray) -> np.ndarray:
        return np.log(np.interp(np.exp(t), x, y))

    return value, lambda t: slopes[_piece(t, log_x)] * np.exp(t - value(t))  # d log y / d log x


def _piece(t: np.ndarray, log_x: list[float]) -> np.ndarray:
    return np.clip(np.searchsorted(log_x, t) - 1, 0, len(log_x) - 2)
