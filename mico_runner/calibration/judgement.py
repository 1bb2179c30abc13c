"""What stands beside errors on networks left out: a simple method that was fixed beforehand, intervals, and how errors go together."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from mico_runner.calibration.device_curves import interval

MIN_ROWS = 3  # of a type, below which all types together stand in


def simple_errors(subgraphs: pd.DataFrame, batch: int) -> pd.Series:
    """Signed errors of the simplest method: latency of each type of subgraph = a + b · FLOPs + c · bytes, each network left out in turn.

    Non-negative least squares of the relative error, per fusion pattern; a pattern that fewer than `MIN_ROWS` others have is predicted
    by all together. Index: the networks, in order.
    """
    rows = subgraphs[subgraphs["batch"] == batch]
    names, kinds = rows["model"].to_numpy(str), rows["fusion_pattern"].to_numpy(str)
    latency = rows["lat_mean_ms"].to_numpy(float)
    matrix = np.column_stack([np.ones(len(rows)), rows["flops"] / 1e9, rows["bytes"] / 1e6]).astype(float)
    found = {}
    for name in np.unique(names):
        test, predicted = names == name, 0.0
        for kind in np.unique(kinds[test]):
            some = ~test & (kinds == kind)
            used = some if some.sum() >= MIN_ROWS else ~test
            coefficients, _ = nnls(matrix[used] / latency[used, None], np.ones(used.sum()))
            predicted += float((matrix[test & (kinds == kind)] @ coefficients).sum())
        found[str(name)] = predicted / latency[test].sum() - 1
    return pd.Series(found)


def with_intervals(models: pd.DataFrame) -> pd.DataFrame:
    """`LeaveOneOut.models` with low_ms, high_ms (90 %, of the errors of the *other* networks alone) and inside (bool)."""
    errors = np.log1p(models["error"].to_numpy(float))
    low, high, far = np.empty(len(errors)), np.empty(len(errors)), models["beyond"].to_numpy(float)
    for i, predicted in enumerate(models["predicted_ms"].to_numpy(float)):
        others = np.delete(errors, i)
        low[i], high[i] = interval(predicted, float(np.sqrt((others**2).mean())), len(others), far[i])
    measured = models["measured_ms"].to_numpy(float)
    return models.assign(low_ms=low, high_ms=high, inside=(low <= measured) & (measured <= high))


def correlation(subgraphs: pd.DataFrame) -> float:
    """Mean over networks of the average correlation of their subgraphs' errors, weighted by the errors' sizes: 0 independent, 1 all alike.

    `subgraphs`: as `LeaveOneOut.subgraphs`. A network's error e is the sum of its subgraphs' e_i; what e² has beyond Σ e_i², as a share
    of the most it could have, (Σ |e_i|)² - Σ e_i².
    """
    error = subgraphs["predicted_ms"] - subgraphs["lat_mean_ms"]
    groups = error.groupby(subgraphs["model"])
    squares = groups.agg(lambda e: float((e**2).sum()))
    most = groups.agg(lambda e: float(e.abs().sum())) ** 2 - squares
    shares = (groups.sum() ** 2 - squares) / most.where(most > 0)
    return float(shares.fillna(0.0).mean())
