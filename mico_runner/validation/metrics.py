"""Error metrics of positive quantities such as latencies."""

from __future__ import annotations

import numpy as np
from scipy import stats

METRICS = ("mape", "p90_ape", "max_ape", "spearman", "kendall", "explained")
ROUNDING = 1e-9  # relative: values that differ by less are equal
NEGLIGIBLE = (
    0.15  # log error (16 %) that counts as knowing the value: near-constant values have no variance worth explaining
)


def absolute_percentage_errors(measured: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """|predicted - measured| / measured, float64 (rows,), as a fraction. Raises ValueError when a measurement is not positive."""
    measured, predicted = np.asarray(measured, dtype=float), np.asarray(predicted, dtype=float)
    if measured.shape != predicted.shape or measured.size == 0:
        raise ValueError(f"{measured.size} measured and {predicted.size} predicted values")
    if not (measured > 0).all():
        raise ValueError("measured values must be positive")
    errors: np.ndarray = np.abs(predicted - measured) / measured
    return errors


def error_metrics(measured: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """mape, p90_ape, max_ape (fractions: 0.05 is 5 %), Spearman's and Kendall's rank correlation (nan for constant values), explained.

    explained: 1 - mean squared log error / (variance of the log measurements + NEGLIGIBLE^2), at most 1; 0 and less is no better than
    knowing their mean.
    """
    measured, predicted = np.asarray(measured, dtype=float), np.asarray(predicted, dtype=float)
    ape = absolute_percentage_errors(measured, predicted)
    constant = is_constant(measured) or is_constant(predicted)
    return {
        "mape": float(ape.mean()),
        "p90_ape": float(np.quantile(ape, 0.9)),
        "max_ape": float(ape.max()),
        "spearman": float("nan") if constant else float(stats.spearmanr(measured, predicted).statistic),
        "kendall": float("nan") if constant else float(stats.kendalltau(measured, predicted).statistic),
        "explained": _explained(np.log(measured), np.log(predicted)),
    }


def is_constant(values: np.ndarray) -> bool:
    """Whether all are equal, up to rounding: they have no order."""
    return bool(np.ptp(values) <= ROUNDING * np.abs(values).max())


def _explained(measured: np.ndarray, predicted: np.ndarray) -> float:
    return float(1 - np.mean((predicted - measured) ** 2) / (measured.var() + NEGLIGIBLE**2))
