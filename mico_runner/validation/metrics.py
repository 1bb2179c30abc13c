"""Error metrics of positive quantities such as latencies."""

from __future__ import annotations

import numpy as np
from scipy import stats

METRICS = ("mape", "p90_ape", "max_ape", "spearman", "kendall")


def absolute_percentage_errors(measured: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """|predicted - measured| / measured, float64 (rows,), as a fraction. Raises ValueError when a measurement is not positive."""
    measured, predicted = np.asarray(measured, dtype=float), np.asarray(predicted, dtype=float)
    if measured.shape != predicted.shape or measured.size == 0:
        raise ValueError(f"{measured.size} measured and {predicted.size} predicted values")
    if not (measured > 0).all():
        raise ValueError("measured values must be positive")
    return np.abs(predicted - measured) / measured


def error_metrics(measured: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """mape, p90_ape, max_ape (fractions: 0.05 is 5 %), Spearman's and Kendall's rank correlation (nan for constant values)."""
    ape = absolute_percentage_errors(measured, predicted)
    constant = len(ape) < 2 or np.ptp(measured) == 0 or np.ptp(predicted) == 0
    return {
        "mape": float(ape.mean()),
        "p90_ape": float(np.quantile(ape, 0.9)),
        "max_ape": float(ape.max()),
        "spearman": float("nan") if constant else float(stats.spearmanr(measured, predicted).statistic),
        "kendall": float("nan") if constant else float(stats.kendalltau(measured, predicted).statistic),
    }
