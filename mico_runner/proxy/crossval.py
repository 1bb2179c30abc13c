"""Errors of a strategy on rows it has not seen, by validation protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict, Unpack

import numpy as np
import pandas as pd
from sklearn.base import clone

from mico_runner.errors import UnknownName, UsageError
from mico_runner.kernel_table import BITS, SHAPE
from mico_runner.proxy import AUTO, intervals
from mico_runner.proxy.model import make
from mico_runner.proxy.strategies import Strategy, for_unseen_shapes
from mico_runner.proxy.strategies.structural import Structural
from mico_runner.validation.metrics import ROUNDING, absolute_percentage_errors, error_metrics
from mico_runner.validation.protocols import Splits, group_ids, splits

Each = Callable[..., Iterable[Any]]  # as `map`
SIZES = ("small", "medium", "large")  # thirds of the measured latencies
COVERAGE = 0.9  # nominal, of the intervals in the predictions


class Candidate(TypedDict, total=False):
    """Which predictor, as `fit` takes it."""

    strategy: str
    features: str
    regressor: str
    params: Mapping[str, object] | None


class Validation(NamedTuple):
    """Outcome of `validate`.

    Attributes:
        protocols: one row per kind and protocol: kind, strategy, protocol, rows, groups, mape, p90_ape, max_ape (fractions), spearman,
            kendall, explained, coverage (share of rows inside their 90 % interval; nan in-sample).
        predictions: one row per kind, protocol and test of a profile row: row (its label), kind, shape, macs, bits, protocol, group,
            measured, predicted; lower, upper: the 90 % interval by the errors of the *other* folds (nan in-sample).
    """

    protocols: pd.DataFrame
    predictions: pd.DataFrame


def validate(
    table: pd.DataFrame,
    seed: int = 0,
    protocols: Sequence[str] = ("in_sample", "kfold", "group_kfold"),
    group_by: str | Sequence[str] = "shape",
    folds: int = 5,
    each: Each = map,
    **candidate: Unpack[Candidate],
) -> Validation:
    """Fit and predict under each protocol, each kind of kernel by itself.

    Args:
        table: a profile: kernel table plus `latency`.
        candidate, seed: as for `fit`.
        protocols, group_by, folds: as for `validation.protocols.splits`.
        each: calls a function for every fold, in order, as `map` does.

    Raises:
        UnknownName, UsageError: as `fit` and `splits` do.
    """
    strategy = candidate.get("strategy", AUTO)
    chosen = candidate.get("features", AUTO), candidate.get("regressor", AUTO), candidate.get("params")
    estimator = make(strategy, *chosen, seed)
    summary, predictions = [], []
    for kind, rows in table.groupby("kind"):
        measured = rows["latency"].to_numpy(dtype=float)
        groups = group_ids(rows, group_by)
        for protocol in protocols:
            try:
                parts = splits(protocol, rows, folds=folds, group_by=group_by, seed=seed)
            except UnknownName:
                raise
            except UsageError as error:
                raise UsageError(f"profile, {kind} kernels: {error}") from None
            tested, predicted, fold_of = _held_out(estimator, rows, measured, parts, each)
            truth = measured[tested]
            lower, upper = _intervals(rows.iloc[tested], truth, predicted, fold_of)
            summary.append(
                {
                    "kind": kind,
                    "strategy": strategy,
                    "protocol": protocol,
                    "rows": len(rows),
                    "groups": len(np.unique(groups)),
                }
                | error_metrics(truth, predicted)
                | {"coverage": _coverage(truth, lower, upper)}
            )
            part = rows[["kind", *SHAPE, "macs", *BITS]].assign(protocol=protocol, group=groups).iloc[tested]
            predictions.append(
                part.assign(measured=truth, predicted=predicted, lower=lower, upper=upper)
                .rename_axis("row")
                .reset_index()
            )
    return Validation(pd.DataFrame(summary), pd.concat(predictions, ignore_index=True))


@dataclass(frozen=True)
class _Fold:
    """Predictions of the rows of a fold by a predictor that has not seen them."""

    estimator: Strategy
    rows: pd.DataFrame
    measured: np.ndarray
    shapes: np.ndarray

    def __call__(self, fold: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        train, test = fold
        known = np.isin(self.shapes[test], self.shapes[train]).any()
        fitted = clone(self.estimator) if known else for_unseen_shapes(self.estimator)
        fitted.fit(self.rows.iloc[train], self.measured[train])
        return fitted.predict(self.rows.iloc[test])


def _held_out(
    estimator: Strategy, rows: pd.DataFrame, measured: np.ndarray, folds: Splits, each: Each = map
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tested positions, their predictions and the number of their fold; in the order of the rows where each is tested once."""
    parts = list(folds)
    predicted = list(each(_Fold(estimator, rows, measured, group_ids(rows)), parts))
    tested = [test for _, test in parts]
    fold_of = [np.full(len(test), fold) for fold, test in enumerate(tested)]
    positions = np.concatenate(tested)
    order = np.argsort(positions, kind="stable")
    return positions[order], np.concatenate(predicted)[order], np.concatenate(fold_of)[order]


def _intervals(
    rows: pd.DataFrame, measured: np.ndarray, predicted: np.ndarray, fold_of: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Cross-conformal: each fold's intervals come from the errors of the other folds, so they never saw the rows that they must hold."""
    logs = np.log(measured / predicted)
    width = np.full(len(logs), np.nan)
    for fold in np.unique(fold_of):
        inside = fold_of == fold
        if inside.all():
            break
        calibrated = intervals.calibrate(rows[~inside], logs[~inside])
        width[inside] = intervals.half_width(calibrated, rows[inside], COVERAGE)
    return predicted * np.exp(-width), predicted * np.exp(width)


def _coverage(measured: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> float:
    inside = (lower * (1 - ROUNDING) <= measured) & (measured <= upper * (1 + ROUNDING))
    inside = np.where(np.isnan(lower), np.nan, inside)
    return float(inside.mean())


def by_part(predictions: pd.DataFrame) -> pd.DataFrame:
    """Errors and intervals of unseen shapes by family (data set), third of the sizes and pair of bits: where a headline pools them.

    Args:
        predictions: of `validate`, with a column `dataset`; its group_kfold rows are used.

    Returns:
        kind, by ("family", "size", "bits"), part, rows, shapes, mape, coverage of the 90 % intervals, and width (a fraction).
    """
    rows = predictions[predictions["protocol"] == "group_kfold"]
    found = []
    for kind, of_kind in rows.groupby("kind"):
        third = np.minimum((of_kind["measured"].rank(method="first") - 1) * 3 // len(of_kind), 2).astype(int)
        parts = {
            "family": of_kind["dataset"],
            "size": third.map(dict(enumerate(SIZES))),
            "bits": of_kind["act_bits"].astype(str) + "x" + of_kind["weight_bits"].astype(str),
        }
        for by, values in parts.items():
            for part, each in of_kind.groupby(values, sort=False):
                measured, predicted = each["measured"].to_numpy(), each["predicted"].to_numpy()
                lower, upper = each["lower"].to_numpy(), each["upper"].to_numpy()
                about = {"kind": kind, "by": by, "part": part, "rows": len(each), "shapes": each["group"].nunique()}
                found.append(
                    about
                    | {"mape": float(absolute_percentage_errors(measured, predicted).mean())}
                    | {
                        "coverage": _coverage(measured, lower, upper),
                        "width": float(np.mean((upper - lower) / predicted)),
                    }
                )
    return pd.DataFrame(found)


def learnable(table: pd.DataFrame, group_by: str | Sequence[str] = "shape", folds: int = 5) -> dict[str, float]:
    """Per kind, what `structural` explains of the log latencies of unseen groups (`error_metrics`): a yardstick for other strategies."""
    found = {}
    for kind, rows in table.groupby("kind"):
        measured = rows["latency"].to_numpy(dtype=float)
        parts = splits("group_kfold", rows, folds=folds, group_by=group_by)
        tested, predicted, _ = _held_out(Structural(), rows, measured, parts)
        found[kind] = error_metrics(measured[tested], predicted)["explained"]
    return found


def compare(table: pd.DataFrame, candidates: Sequence[Candidate], **options: Any) -> pd.DataFrame:
    """The `protocols` tables of several candidates below each other, numbered in the column `candidate`.

    Args:
        table: a profile.
        candidates: keywords of `validate` each: strategy, features, regressor, params.
        options: keywords common to all: seed, protocols, group_by, folds.
    """
    tables = [validate(table, **candidate, **options).protocols for candidate in candidates]
    return pd.concat([t.assign(candidate=number) for number, t in enumerate(tables)], ignore_index=True)
