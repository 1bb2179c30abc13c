"""Validation on networks that were not seen: each in turn is left out, and what is chosen is chosen without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from mico_runner.calibration.estimator import Estimator, beyond, reach_of
from mico_runner.calibration.latency import CANDIDATES, Settings, SubgraphLatency, Table
from mico_runner.data.subgraphs import robust_mean_ms
from mico_runner.errors import UnknownName, UsageError


@dataclass(frozen=True)
class LeaveOneOut:
    """Outcome of `leave_one_model_out`.

    Attributes:
        models: per network: model, measured_ms, predicted_ms, error (signed fraction), beyond (how far its sizes lie beyond the others',
            `estimator.beyond`), settings (those chosen without it).
        subgraphs: per subgraph of the tested batch: its columns, `regime`, `predicted_ms`.
    """

    models: pd.DataFrame
    subgraphs: pd.DataFrame

    @property
    def mape(self) -> float:
        return float(self.models["error"].abs().mean())

    @property
    def max_ape(self) -> float:
        return float(self.models["error"].abs().max())


def leave_one_model_out(
    subgraphs: pd.DataFrame, batch: int = 1, candidates: tuple[Settings, ...] = CANDIDATES
) -> LeaveOneOut:
    """Predict the latency of each network (sum of its subgraphs at `batch`), fitted on the other networks at all batches given.

    The settings are chosen anew for each network left out: those with the least mean error when each of the *other* networks is left
    out in turn. They include whether measurements at other batches are learned from (left aside only when that is
    better by more than a standard error). Fitted to means without the longest sample, compared
    with the published means.

    Args:
        subgraphs: rows of one device and one precision.

    Raises:
        UsageError: fewer than three networks, or none at that batch.
    """
    table = Table.of(subgraphs)
    names = table.subgraphs["model"].to_numpy()
    networks = np.unique(names)
    tested = (table.subgraphs["batch"] == batch).to_numpy()
    if len(networks) < 3 or not tested.any():
        raise UsageError(
            f"calibration: {len(networks)} networks, {tested.sum()} rows at batch {batch}; at least 3 and 1 are needed"
        )
    if not tested.all() and len(candidates) > 1:  # what larger batches tell of this one depends on the device
        candidates += tuple(replace(c, own_batch=True) for c in candidates)
    target, measured = robust_mean_ms(table.subgraphs), table.subgraphs["lat_mean_ms"].to_numpy(float)
    predictions: dict[frozenset[str], dict[str, np.ndarray]] = {}

    def without(*left_out: str) -> dict[str, np.ndarray]:
        """Predictions (candidates, subgraphs) for each network left out; fitted once for each set."""
        key = frozenset(left_out)
        if key not in predictions:
            rows = np.flatnonzero(~np.isin(names, left_out))
            ridges = tuple(sorted({c.ridge for c in candidates}))
            models = {}
            for own in {c.own_batch for c in candidates}:
                some = rows[tested[rows]] if own else rows
                models[own] = SubgraphLatency().fit(table.take(some), target[some], ridges)
            predictions[key] = {}
            for name in left_out:
                test = table.take(np.flatnonzero((names == name) & tested))
                known = {own: model.structure(test) for own, model in models.items()}
                predictions[key][name] = np.array(
                    [models[c.own_batch].predict(test, c, known[c.own_batch]) for c in candidates]
                )
        return predictions[key]

    total = {n: measured[(names == n) & tested].sum() for n in networks}
    networks = [n for n in networks if total[n] > 0]
    records, predicted = [], np.full(len(table), np.nan)
    for name in networks:
        others = [n for n in networks if n != name]
        best = 0
        if len(candidates) > 1:
            errors = np.array([[p.sum() / total[n] - 1 for p in without(name, n)[n]] for n in others])
            best = _best(np.abs(errors), [c.own_batch for c in candidates])
        values = without(name)[name][best]
        own = (names == name) & tested
        predicted[own] = values
        seen = reach_of(table.take(np.flatnonzero(names != name)).operators)
        far = beyond(table.take(np.flatnonzero(own)).operators, values, seen)
        records.append((name, total[name], values.sum(), values.sum() / total[name] - 1, far, str(candidates[best])))
    models = pd.DataFrame(records, columns=["model", "measured_ms", "predicted_ms", "error", "beyond", "settings"])
    parts = table.subgraphs.assign(regime=table.regime, predicted_ms=predicted)[tested]
    return LeaveOneOut(models, parts.reset_index(drop=True))


def _best(ape: np.ndarray, own_batch: list[bool]) -> int:
    """The candidate with the least mean error; fewer measurements only where that is better by more than a standard error.

    `ape`: absolute errors, float64 (networks, candidates).
    """
    mean, own = ape.mean(axis=0), np.array(own_batch)
    best = int(np.where(own, np.inf, mean).argmin())
    if own.any():
        other = int(np.where(own, mean, np.inf).argmin())
        gain = ape[:, best] - ape[:, other]
        if gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain)):
            return other
    return best


def fitted(subgraphs: pd.DataFrame, batch: int) -> tuple[Estimator, np.ndarray]:
    """The physical terms of all networks' subgraphs at that batch, and log(predicted / measured) of each network left out of them.

    What ships as a device's curves: it predicts single operators (in seconds), so curves of fused subgraphs take no part.
    """
    rows = subgraphs[subgraphs["batch"] == batch]
    outcome = leave_one_model_out(rows, batch, CANDIDATES[:1])
    table = Table.of(rows)
    model = SubgraphLatency().fit(table, robust_mean_ms(table.subgraphs) / 1000)
    return Estimator(model, reach=reach_of(table.operators)), np.log1p(outcome.models["error"].to_numpy(float))


def select(subgraphs: pd.DataFrame, device: str, precision: str, batches: Sequence[int]) -> pd.DataFrame:
    """Rows of one device and precision at these batches. Raises UnknownName for a device, UsageError for what it was not measured at."""
    devices = subgraphs["hardware"].unique()
    if device not in devices:
        raise UnknownName("measured device", device, devices)
    rows = subgraphs[subgraphs["hardware"] == device]
    for column, wanted in (("precision", [precision]), ("batch", batches)):
        missing = [value for value in wanted if value not in set(rows[column])]
        if missing:
            found = ", ".join(map(str, sorted(rows[column].unique())))
            raise UsageError(f"verify.devices: {device} has no rows with {column} {missing[0]}; measured: {found}")
        rows = rows[rows[column].isin(wanted)]
    return rows


def by_operation(subgraphs: pd.DataFrame) -> pd.DataFrame:
    """Error per regime: regime, subgraphs, share (of the measured time), mape, bias (of the summed time); the largest share first."""
    rows = subgraphs.assign(ape=(subgraphs["predicted_ms"] / subgraphs["lat_mean_ms"] - 1).abs())
    regime = rows["regime"].str.replace(r"(scalar|view)_\w+", r"\1", regex=True)
    groups = rows.groupby(regime)
    sums = groups[["lat_mean_ms", "predicted_ms"]].sum()
    table = pd.DataFrame(
        {
            "subgraphs": groups.size(),
            "share": sums["lat_mean_ms"] / sums["lat_mean_ms"].sum(),
            "mape": groups["ape"].mean(),
            "bias": sums["predicted_ms"] / sums["lat_mean_ms"] - 1,
        }
    )
    return table.sort_values("share", ascending=False).reset_index()


def noise_floor(subgraphs: pd.DataFrame, first: str, second: str, precision: str, batch: int) -> pd.DataFrame:
    """Networks measured in two runs of one machine: model, first_ms, second_ms, error (signed fraction of the first)."""
    totals = []
    for device in (first, second):
        rows = select(subgraphs, device, precision, [batch])
        totals.append(rows.groupby("model")["lat_mean_ms"].sum())
    both = pd.concat(totals, axis=1, join="inner", keys=["first_ms", "second_ms"]).reset_index()
    return both.assign(error=both["second_ms"] / both["first_ms"] - 1)
