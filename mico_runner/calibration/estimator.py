"""An estimator of single operators: physical terms, and per operator class a curve that it is mixed with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from mico_runner.calibration import terms
from mico_runner.calibration.latency import CANDIDATES, Curve, Settings, SubgraphLatency, Table
from mico_runner.calibration.machine import Point
from mico_runner.calibration.roofline import in_seconds, in_words
from mico_runner.errors import UsageError

FOLDS = 5
SHOWN_SHARE = 0.02  # of an operator's time, from which a term is named in its sentence


def table_of(operators: pd.DataFrame, names: Iterable[str]) -> Table:
    """A table of single operators, one per row; `names` say which measurements belong together."""
    operators = operators.reset_index(drop=True).assign(row=range(len(operators)))
    subgraphs = pd.DataFrame({"model": list(names), "fusion_pattern": operators["op"]})
    return Table(subgraphs, operators, operators["op"].to_numpy(str), terms.sizes(operators, len(operators)))


@dataclass(frozen=True)
class Estimator:
    """Latency of single operators in seconds at one precision.

    Attributes:
        settings: per operator class how structure and curve are combined; absent: structure alone.
        errors: per operator class the root mean square of log latency on operators left out, where it is known.
        reach: per operator class the smallest and the largest size (`sizes`) that was measured.
    """

    model: SubgraphLatency
    settings: Mapping[str, Settings] = field(default_factory=dict)
    errors: Mapping[str, float] = field(default_factory=dict)
    reach: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def predict(self, operators: pd.DataFrame) -> np.ndarray:
        """Seconds of each operator (rows as `capture.capture` gives them), float64 (rows,)."""
        table = table_of(operators, operators["op"])
        seconds = np.empty(len(table))
        for op in np.unique(table.regime):
            rows = np.flatnonzero(table.regime == op)
            seconds[rows] = self.model.predict(table.take(rows), self.settings.get(op, CANDIDATES[0]))
        return seconds

    def beyond(self, operators: pd.DataFrame) -> float:
        """How far a network of these operators lies beyond the sizes measured; see `beyond`."""
        return beyond(table_of(operators, operators["op"]).operators, self.predict(operators), self.reach)

    def standing(self, operators: pd.DataFrame) -> np.ndarray:
        """What each figure stands on, str (rows,): "measured", "EXTRAPOLATED" (beyond the sizes measured), "ASSUMED" (another class)."""
        low, high = (
            np.array([self.reach.get(op, (0.0, np.inf))[end] for op in operators["op"]], dtype=float) for end in (0, 1)
        )
        size = sizes(operators)
        found = np.where((size < low) | (size > high), "EXTRAPOLATED", "measured")
        return np.where(operators["op"].isin(self.model.classes), found, "ASSUMED")

    def explain(self, operators: pd.DataFrame) -> list[str]:
        """The prediction of each operator in one sentence: its time, the terms it is made of, the curve, its error, what it stands on."""
        table, predicted, standing = (
            table_of(operators, operators["op"]),
            self.predict(operators),
            self.standing(operators),
        )
        parts, curved = self.model.contributions(table), self._curves(table)
        lines = []
        for i, seconds in enumerate(predicted):
            op, of = operators["op"].iloc[i], parts.iloc[i]
            named = of[of > SHOWN_SHARE * of.sum()].sort_values(ascending=False)
            text = f"{in_words(operators.iloc[i])}: {in_seconds(seconds)}; "
            text += " + ".join(f"{name} {in_seconds(value)}" for name, value in named.items()) or "no term"
            text += f" = {in_seconds(of.sum())}"
            if np.isfinite(curved[i]):
                text += f", with its curve {in_seconds(curved[i])}"
            text += f", ±{100 * np.expm1(self.errors[op]):.0f} %" if op in self.errors else ""
            lines.append(text + ("" if standing[i] == "measured" else f", {standing[i]}"))
        return lines

    def _curves(self, table: Table) -> np.ndarray:
        """What the curve of each operator's class says, float64 (rows,); nan where the structure is alone."""
        found = np.full(len(table), np.nan)
        for op in np.unique(table.regime):
            chosen, rows = self.settings.get(op, CANDIDATES[0]), table.regime == op
            if chosen.curve > 0 and op in self.model.curves:
                found[rows] = self.model.curves[op][chosen.ridge].predict(table.size[rows])
        return found

    def to_json(self) -> dict[str, object]:
        """As JSON-able data that `from_json` reads back."""
        model, curves = self.model, {}
        for op, chosen in self.settings.items():
            if chosen.curve > 0 and op in model.curves:
                curve = {
                    k: v.tolist() if isinstance(v, np.ndarray) else v
                    for k, v in vars(model.curves[op][chosen.ridge]).items()
                }
                curves[op] = {"share": chosen.curve, "caution": chosen.caution, **curve}
        return {
            "launches_s": dict(zip(model.classes, model.launch.tolist(), strict=True)),
            "families_s": dict(zip(model.families, model.family_launch.tolist(), strict=True)),
            "work_s": {name: c for name, c in zip(model.work_names, model.work.tolist(), strict=True) if c > 0},
            "reach": {op: list(ends) for op, ends in self.reach.items()},
            "errors": dict(self.errors),
            "curves": curves,
        }

    @staticmethod
    def from_json(data: Mapping[str, object]) -> Estimator:
        """Of data that `device_curves.TERMS` describes. Raises UsageError for a term that does not exist."""
        names = terms.work_names()
        if unknown := [name for name in data["work_s"] if name not in names]:
            raise UsageError(f"work_s: found {unknown[0]!r}; allowed: {', '.join(names)}")
        settings, curves = {}, {}
        for op, of in data["curves"].items():
            settings[op] = Settings(of["share"], of["caution"])
            arrays = {k: np.array(of[k], dtype=float) for k in ("slopes", "centre", "precision")}
            curve = Curve(of["level"], **arrays, rows=of["rows"], networks=of["networks"])
            curves[op] = {settings[op].ridge: curve}
        launches, families = data["launches_s"], data["families_s"]
        model = SubgraphLatency(
            classes=list(launches),
            launch=np.array(list(launches.values()), dtype=float),
            families=list(families),
            family_launch=np.array(list(families.values()), dtype=float),
            work_names=names,
            work=np.array([data["work_s"].get(name, 0.0) for name in names]),
            curves=curves,
        )
        return Estimator(
            model, settings, data["errors"], {op: (low, high) for op, (low, high) in data["reach"].items()}
        )


def sizes(operators: pd.DataFrame) -> np.ndarray:
    """MACs of each operator, or the elements that it moves where it computes nothing, float64 (rows,)."""
    macs = operators["macs"].to_numpy(float)
    return np.where(macs > 0, macs, operators["elements"].to_numpy(float))


def reach_of(operators: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Per operator class the smallest and the largest size among these operators; none of classes that only look at a tensor."""
    groups = pd.Series(sizes(operators)).groupby(operators["op"].to_numpy())
    return {str(op): (float(rows.min()), float(rows.max())) for op, rows in groups if rows.max() > 0}


def beyond(operators: pd.DataFrame, seconds: np.ndarray, reach: Mapping[str, tuple[float, float]]) -> float:
    """How far a network lies beyond what was measured: log(size / largest size measured of its class), 0 within, averaged over its time.

    Args:
        operators: their `row` is a position in `seconds`; of several in a row the one that reaches farthest counts.
        seconds: predicted, float64 (rows,).
    """
    highest = np.array([reach.get(op, (0.0, np.inf))[1] for op in operators["op"]], dtype=float)
    away = np.maximum(np.log(np.maximum(sizes(operators), 1)) - np.log(highest), 0)
    farthest = np.zeros(len(seconds))
    np.maximum.at(farthest, operators["row"].to_numpy(int), away)
    return float(seconds @ farthest / seconds.sum())


def estimator(points: list[Point], precision: str = "fp32", seed: int = 0) -> Estimator:
    """Fit to the points of one precision; per operator class the candidate with the least cross-validated error in log latency.

    Raises UsageError for fewer points than folds.
    """
    rows = pd.DataFrame([p for p in points if p["precision"] == precision])
    if len(rows) < FOLDS:
        raise UsageError(
            f"calibrate: {len(rows)} points at {precision}; an estimate needs {FOLDS}: measure more operations"
        )
    table, seconds = table_of(rows, rows["key"]), rows["seconds"].to_numpy(float)
    ridges = tuple(sorted({c.ridge for c in CANDIDATES}))
    squares = np.empty((len(rows), len(CANDIDATES)))
    for test in np.array_split(np.random.default_rng(seed).permutation(len(rows)), FOLDS):
        train = np.setdiff1d(np.arange(len(rows)), test)
        model = SubgraphLatency().fit(table.take(train), seconds[train], ridges)
        for i, candidate in enumerate(CANDIDATES):
            squares[test, i] = np.log(model.predict(table.take(test), candidate) / seconds[test]) ** 2
    by_class = pd.DataFrame(squares).groupby(table.regime).mean()
    best = by_class.idxmin(axis=1)
    chosen = {op: CANDIDATES[i] for op, i in best.items()}
    errors = {op: float(np.sqrt(by_class.loc[op, i])) for op, i in best.items()}
    return Estimator(SubgraphLatency().fit(table, seconds, ridges), chosen, errors, reach_of(table.operators))
