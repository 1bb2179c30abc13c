"""The fitted latency predictor of one device: one estimator per kind of kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from mico_runner.errors import UsageError
from mico_runner.kernel_table import BITS, COLUMNS, SHAPE, is_depthwise, kernel_table
from mico_runner.proxy import AUTO, FEATURES, REGRESSORS, STRATEGIES, intervals, persist
from mico_runner.proxy.strategies import Strategy
from mico_runner.proxy.terms import sizes

RANGE_SLACK = 1e-9  # octaves: equal sizes are inside, whatever rounding does


@dataclass
class LatencyModel:
    """Predicts the latency of kernels.

    Attributes:
        estimators: the fitted strategy of each kind of kernel.
        unit: of the predicted latencies ("cycles", "ns"); None when the profile did not say.
        settings: strategy, features, regressor, params and seed it was fitted with.
        ranges: per kind, least and largest log2 of the sizes that it was fitted on, float64 (2, sizes); see `extrapolates`.
        margins: per kind, what the errors on shapes left out say (`intervals.calibrate`); empty when not calibrated.
    """

    estimators: dict[str, Strategy]
    unit: str | None
    settings: dict[str, Any] = field(default_factory=dict)
    ranges: dict[str, np.ndarray] = field(default_factory=dict)
    margins: dict[str, intervals.State] = field(default_factory=dict)

    @property
    def kinds(self) -> list[str]:
        return sorted(self.estimators)

    def predict(self, table: pd.DataFrame) -> np.ndarray:
        """Latency of each row of a kernel table, float64 (rows,), in `unit`.

        Raises UsageError when a kind of kernel was not profiled: a network's latency never leaves out a layer silently.
        """
        table = self._known(table)
        latency = np.empty(len(table))
        for kind, rows in table.groupby("kind").indices.items():
            latency[rows] = self.estimators[kind].predict(table.iloc[rows])
        return latency

    def interval(self, table: pd.DataFrame, coverage: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper latency that hold the measured one of an unseen shape with probability `coverage`, (rows,) each.

        Raises UsageError when a kind is not calibrated (`fit(..., calibration=...)`).
        """
        return self.quantile(table, (1 - coverage) / 2), self.quantile(table, (1 + coverage) / 2)

    def quantile(self, table: pd.DataFrame, risk: float) -> np.ndarray:
        """Latency that the measured one of an unseen shape stays below with probability `risk`, float64 (rows,).

        Raises UsageError when a kind is not calibrated or `risk` is not between 0 and 1.
        """
        if not 0 < risk < 1:
            raise UsageError(f"risk is {risk}, expected a probability between 0 and 1")
        table = self._known(table)
        latency = self.predict(table)
        for kind, rows in table.groupby("kind").indices.items():
            if kind not in self.margins:
                raise UsageError(f"the latency model has no intervals for {kind!r} kernels; fit it with `calibration`")
            width = intervals.half_width(self.margins[kind], table.iloc[rows], abs(2 * risk - 1))
            latency[rows] *= np.exp(width if risk > 0.5 else -width)
        return latency

    def extrapolates(self, table: pd.DataFrame) -> np.ndarray:
        """Whether a row lies outside the training range of its kind in any size or bit-width; bool (rows,)."""
        table = self._known(table)
        outside = np.empty(len(table), dtype=bool)
        for kind, rows in table.groupby("kind").indices.items():
            low, high = self.ranges[kind]
            logs = _log_sizes(table.iloc[rows])
            outside[rows] = ((logs < low - RANGE_SLACK) | (logs > high + RANGE_SLACK)).any(axis=1)
        return outside

    def _known(self, table: pd.DataFrame) -> pd.DataFrame:
        table = _complete(table)
        if "depthwise" in self.estimators:  # else convolutions with groups are the profile's business
            table = table.assign(kind=table["kind"].mask(is_depthwise(table), "depthwise"))
        unknown = sorted(set(table["kind"]) - set(self.estimators))
        if unknown:
            rows = table[table["kind"] == unknown[0]]
            where = f" (layer {rows['layer'].iloc[0]!r})" if "layer" in rows else ""
            raise UsageError(
                f"no latencies of {unknown[0]!r} kernels{where}: the profile has {', '.join(self.kinds)}; "
                f"{len(table) - int(table['kind'].isin(self.estimators).sum())} of {len(table)} kernels cannot be predicted"
            )
        return table

    def save(self, folder: str | Path) -> None:
        """Write the model as JSON and npz, no pickle; `load` gives the same predictions bit for bit."""
        persist.save(Path(folder), vars(self))


def fit(
    table: pd.DataFrame,
    strategy: str = AUTO,
    features: str = AUTO,
    regressor: str = AUTO,
    params: Mapping[str, Any] | None = None,
    seed: int = 0,
    calibration: pd.DataFrame | None = None,
) -> LatencyModel:
    """Fit one estimator per kind of kernel.

    Args:
        table: a profile, as `data.load_profile` gives it: kernel table plus `latency`.
        strategy: a name of `STRATEGIES`.
        features, regressor: names of `FEATURES` and `REGRESSORS`; "auto" leaves the strategy's own default.
        params: further parameters of the strategy (`mico-run list strategies` shows them).
        calibration: `predictions` of `validate` with the same settings; its group_kfold rows give the prediction intervals.

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
    ranges = {}
    for kind, rows in table.groupby("kind"):
        logs = _log_sizes(rows)
        ranges[kind] = np.stack([logs.min(axis=0), logs.max(axis=0)])
    margins = {} if calibration is None else _margins(calibration)
    return LatencyModel(estimators, table.attrs.get("unit"), settings, ranges, margins)


def make(
    strategy: str,
    features: str = AUTO,
    regressor: str = AUTO,
    params: Mapping[str, object] | None = None,
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


def _margins(predictions: pd.DataFrame) -> dict[str, intervals.State]:
    """Of each kind, by the errors on shapes left out."""
    left_out = predictions[predictions["protocol"] == "group_kfold"]
    if left_out.empty:
        raise UsageError("prediction intervals need the protocol 'group_kfold'; add it to proxy.validation.protocols")
    found = {}
    for kind, part in left_out.groupby("kind"):
        table = kernel_table(part[["kind", *SHAPE, *BITS]])
        found[kind] = intervals.calibrate(table, np.log(part["measured"] / part["predicted"]).to_numpy())
    return found


def _log_sizes(table: pd.DataFrame) -> np.ndarray:
    bits = np.maximum(table[["act_bits", "weight_bits"]].to_numpy(float), 0.5)
    return np.log2(np.column_stack([*sizes(table), bits]))


def _complete(table: pd.DataFrame) -> pd.DataFrame:
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise UsageError(f"not a kernel table: column {missing[0]!r} is missing; `kernel_table` makes one")
    if table.empty:
        raise UsageError("the kernel table has no rows")
    return table
