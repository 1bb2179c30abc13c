"""The fitted latency predictor of one device: one estimator per kind of kernel."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from mico_runner.errors import UsageError
from mico_runner.kernel_table import COLUMNS
from mico_runner.proxy import AUTO, FEATURES, REGRESSORS, STRATEGIES, persist
from mico_runner.proxy.strategies import Strategy


@dataclass
class LatencyModel:
    """Predicts the latency of kernels.

    Attributes:
        estimators: the fitted strategy of each kind of kernel.
        unit: of the predicted latencies ("cycles", "ns"); None when the profile did not say.
        settings: strategy, features, regressor, params and seed it was fitted with.
    """

    estimators: dict[str, Strategy]
    unit: str | None
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def kinds(self) -> list[str]:
        return sorted(self.estimators)

    def predict(self, table: pd.DataFrame) -> np.ndarray:
        """Latency of each row of a kernel table, float64 (rows,), in `unit`.

        Raises UsageError when a kind of kernel was not profiled: a network's latency never leaves out a layer silently.
        """
        table = _complete(table)
        unknown = sorted(set(table["kind"]) - set(self.estimators))
        if unknown:
            rows = table[table["kind"] == unknown[0]]
            where = f" (layer {rows['layer'].iloc[0]!r})" if "layer" in rows else ""
            raise UsageError(
                f"no latencies of {unknown[0]!r} kernels{where}: the profile has {', '.join(self.kinds)}; "
                f"{len(table) - int(table['kind'].isin(self.estimators).sum())} of {len(table)} kernels cannot be predicted"
            )
        latency = np.empty(len(table))
        for kind, rows in table.groupby("kind").indices.items():
            latency[rows] = self.estimators[kind].predict(table.iloc[rows])
        return latency

    def save(self, folder: str | Path) -> None:
        """Write the model as JSON and npz, no pickle; `load` gives the same predictions bit for bit."""
        state = {"unit": self.unit, "settings": self.settings, "estimators": self.estimators}
        persist.save(Path(folder), state)


def fit(
    table: pd.DataFrame,
    strategy: str = AUTO,
    features: str = AUTO,
    regressor: str = AUTO,
    params: dict[str, Any] | None = None,
    seed: int = 0,
) -> LatencyModel:
    """Fit one estimator per kind of kernel.

    Args:
        table: a profile, as `data.load_profile` gives it: kernel table plus `latency`.
        strategy: a name of `STRATEGIES`.
        features, regressor: names of `FEATURES` and `REGRESSORS`; "auto" leaves the strategy's own default.
        params: further parameters of the strategy (`mico-run list strategies` shows them).

    Raises:
        UnknownName, UsageError: a name or parameter is unknown, or the table has no or non-positive latencies.
    """
    estimator = make(strategy, features, regressor, params, seed)
    table = _complete(table)
    if "latency" not in table or not (table["latency"] > 0).all():
        raise UsageError("a profile needs a column 'latency' of positive numbers")
    estimators = {
        kind: clone(estimator).fit(rows, rows["latency"].to_numpy(dtype=float)) for kind, rows in table.groupby("kind")
    }
    settings = {
        "strategy": strategy,
        "features": features,
        "regressor": regressor,
        "params": params or {},
        "seed": seed,
    }
    return LatencyModel(estimators, table.attrs.get("unit"), settings)


def make(
    strategy: str,
    features: str = AUTO,
    regressor: str = AUTO,
    params: dict[str, Any] | None = None,
    seed: int = 0,
) -> Strategy:
    """An unfitted strategy. Raises as `fit` does."""
    estimator = STRATEGIES.get(strategy)()
    known = set(estimator.get_params(deep=False))
    chosen: dict[str, Any] = {"seed": seed} if "seed" in known else {}
    for key, value, names in (("features", features, FEATURES), ("regressor", regressor, REGRESSORS)):
        if value == AUTO:
            continue
        names.info(value)
        if key not in known:
            raise UsageError(f"proxy.{key}: strategy {strategy!r} chooses its own {key}; leave it out, found {value!r}")
        chosen[key] = value
    unknown = sorted(set(params or {}) - (known - {"features", "regressor", "seed"}))
    if unknown:
        allowed = ", ".join(sorted(known - {"features", "regressor", "seed"})) or "none"
        raise UsageError(f"proxy.params: strategy {strategy!r} has no parameter {unknown[0]!r}; allowed: {allowed}")
    return estimator.set_params(**chosen, **(params or {}))


def load(folder: str | Path) -> LatencyModel:
    """Read a saved model. Raises UsageError when there is none."""
    return LatencyModel(**persist.load(Path(folder)))


def _complete(table: pd.DataFrame) -> pd.DataFrame:
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise UsageError(f"not a kernel table: column {missing[0]!r} is missing; `kernel_table` makes one")
    if table.empty:
        raise UsageError("the kernel table has no rows")
    return table
