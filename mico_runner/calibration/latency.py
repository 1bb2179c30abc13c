"""Latency of subgraphs on one device at one precision, fitted to measured ones of other networks.

Structure first: non-negative least squares of the relative error on physical terms (`terms`), weighted by shares of the time, launches of
similar classes drawn together, networks measured on a disturbed machine found and corrected. Then, per regime (the operator classes of a
subgraph), a log-linear curve over its sizes that shrinks to its mean; it is trusted where it was measured, and the structure elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from mico_runner.calibration import terms
from mico_runner.calibration.operators import operator_table, regimes

MIN_ROWS = 3  # a class or regime with fewer measurements has no parameter of its own
RIDGE = 2e-4  # of the structure, per row and unit of a term's root mean square
FAMILY_RIDGE = (
    3.0  # of the difference between a class's launch and its family's, in units of the shortest tenth of the latencies
)
SHARE_POWER = 0.5  # a row counts by this power of its share of its network's time: whole networks are what is predicted
ROBUST_PASSES = 4
SPEED_PASSES = 4
GROSS = 3.5  # robust standard deviations from which a value is an outlier (Iglewicz and Hoaglin 1993)
MIN_REGIMES = 5  # of a network that is called disturbed as a whole
AGREE = 0.9  # share of a network's regimes that must be slower (or faster) than fitted to call the whole network so


@dataclass(frozen=True)
class Settings:
    """How structure and curves are combined.

    Attributes:
        curve: share of the regime curve, 0 (structure alone) to 1.
        caution: how fast that share falls with the leverage of a prediction; 0 trusts a curve everywhere.
        ridge: of the curve's slopes, in squared units of its axes.
        own_batch: fit to measurements at the batch that is predicted alone, where there are others, too.
    """

    curve: float = 1.0
    caution: float = 0.3
    ridge: float = 0.3
    own_batch: bool = False


# Structure alone; curves that are trusted everywhere; both, with or without caution where measurements are far.
CANDIDATES = (Settings(0.0), Settings(1.0, 0.0, 0.3), Settings(0.5, 0.0, 3.0), Settings(1.0, 0.3, 3.0))


@dataclass
class Table:
    """Subgraphs prepared for fitting: operators, regimes, sizes. Rows keep their order."""

    subgraphs: pd.DataFrame
    operators: pd.DataFrame
    regime: np.ndarray
    size: np.ndarray

    @classmethod
    def of(cls, subgraphs: pd.DataFrame) -> Table:
        operators, rows = operator_table(subgraphs), len(subgraphs)
        regime = regimes(operators, rows).to_numpy(str)
        return cls(subgraphs.reset_index(drop=True), operators, regime, terms.sizes(operators, rows))

    def take(self, positions: np.ndarray) -> Table:
        """The rows at these positions, in this order."""
        new = np.full(len(self.subgraphs), -1)
        new[positions] = np.arange(len(positions))
        row = new[self.operators["row"].to_numpy()]
        operators = self.operators[row >= 0].assign(row=row[row >= 0])
        return Table(self.subgraphs.iloc[positions], operators, self.regime[positions], self.size[positions])

    def __len__(self) -> int:
        return len(self.subgraphs)


@dataclass
class Curve:
    """log latency = level + slopes · (size - centre), with what is needed to say how far a prediction reaches."""

    level: float
    slopes: np.ndarray
    centre: np.ndarray
    precision: np.ndarray  # inverse of the weighted second moments, ridge included
    rows: int
    networks: int

    def predict(self, size: np.ndarray) -> np.ndarray:
        return np.exp(self.level + (size - self.centre) @ self.slopes)

    def leverage(self, size: np.ndarray) -> np.ndarray:
        """Variance of a prediction in units of one network's, float64 (rows,)."""
        away = size - self.centre
        return 1 / self.networks + np.einsum("ij,jk,ik->i", away, self.precision, away) * self.rows / self.networks


@dataclass
class SubgraphLatency:
    """Estimator of subgraph latencies (the unit of the latencies that it was fitted to)."""

    classes: list[str] = field(default_factory=list)
    launch: np.ndarray = field(default_factory=lambda: np.empty(0))
    families: list[str] = field(default_factory=list)
    family_launch: np.ndarray = field(default_factory=lambda: np.empty(0))
    work_names: list[str] = field(default_factory=list)
    work: np.ndarray = field(default_factory=lambda: np.empty(0))
    speeds: dict[str, float] = field(default_factory=dict)
    curves: dict[str, dict[float, Curve]] = field(default_factory=dict)

    def fit(self, table: Table, latency: np.ndarray, ridges: tuple[float, ...] = (0.3,)) -> SubgraphLatency:
        """Fit structure and curves (one per ridge). `latency`: positive, float64 (rows,)."""
        counts = table.operators[table.operators["launches"] > 0]["op"].value_counts()
        self.classes = sorted(counts.index[counts >= MIN_ROWS])
        launched = terms.launches(table.operators, self.classes, len(table))
        worked, self.work_names = terms.work(table.operators, len(table))
        networks = table.subgraphs["model"].to_numpy()
        matrix, families = np.hstack([launched, worked]), _families(self.classes)
        measured, self.speeds = latency, {}
        for _ in range(SPEED_PASSES):
            fitted = _relative_nnls(matrix, latency, families, networks)
            speeds = _speeds(measured, matrix @ fitted, networks, table.regime)
            if speeds == self.speeds:
                break
            self.speeds = speeds
            latency = measured / np.array([speeds.get(n, 1.0) for n in networks])
        self.launch, self.work = fitted[: len(self.classes)], fitted[len(self.classes) :]
        groups = pd.Series(self.launch).groupby([terms.family(c) for c in self.classes]).median()
        groups.loc["any"] = float(np.median(self.launch))
        self.families, self.family_launch = list(groups.index), groups.to_numpy()
        self.curves = {}
        for regime in np.unique(table.regime):
            rows = table.regime == regime
            if rows.sum() >= MIN_ROWS:
                some = table.size[rows], np.log(latency[rows]), networks[rows]
                self.curves[regime] = {ridge: _curve(*some, ridge) for ridge in ridges}
        return self

    def structure(self, table: Table) -> np.ndarray:
        """Predictions of the physical terms alone, float64 (rows,)."""
        return self.contributions(table).sum(axis=1).to_numpy()

    def contributions(self, table: Table) -> pd.DataFrame:
        """What each launch and each term adds to the structure's prediction: one column each, rows as in the table."""
        rows = len(table)
        launched = terms.launches(table.operators, self.classes, rows) * self.launch
        all_families = sorted({terms.family(op) for op in table.operators["op"].unique()})
        strange = terms.unknown_launches(table.operators, self.classes, all_families, rows)
        known = dict(zip(self.families, self.family_launch, strict=True))
        strange = strange * np.array([known.get(f, known["any"]) for f in all_families])
        worked = terms.work(table.operators, rows)[0] * self.work
        names = [f"launch {c}" for c in self.classes] + [f"launch of an unmeasured {f}" for f in all_families]
        return pd.DataFrame(np.hstack([launched, strange, worked]), columns=names + self.work_names)

    def predict(
        self, table: Table, settings: Settings | None = None, structure: np.ndarray | None = None
    ) -> np.ndarray:
        """Latencies, float64 (rows,). `settings.ridge` must be one of those fitted; `structure` saves its computation where it is known."""
        settings = settings or Settings()
        structure = self.structure(table) if structure is None else structure
        if settings.curve == 0:
            return structure
        curve, share = structure.copy(), np.zeros(len(table))
        for regime in np.unique(table.regime):
            if regime not in self.curves:
                continue
            rows, fitted = table.regime == regime, self.curves[regime][settings.ridge]
            curve[rows] = fitted.predict(table.size[rows])
            share[rows] = settings.curve / (1 + settings.caution * fitted.leverage(table.size[rows]))
        return structure ** (1 - share) * curve**share

    def explain(self, table: Table, row: int, settings: Settings | None = None) -> str:
        """The prediction of one row in words: its operators, what each term adds, the curve and how far it is from measurements."""
        one, settings = table.take(np.array([row])), settings or Settings()
        parts = self.contributions(one).iloc[0]
        lines = [f"{one.subgraphs['fusion_pattern'].iloc[0]}: {one.regime[0]}"]
        lines += [f"  {value:10.2f}  {name}" for name, value in parts[parts > 0].sort_values(ascending=False).items()]
        lines.append(f"  {parts.sum():10.2f}  sum of the terms")
        fitted = self.curves.get(one.regime[0])
        if fitted is None or settings.curve == 0:
            lines.append(
                "              no regime curve: " + ("not asked for" if fitted else "fewer than 3 measurements")
            )
        else:
            c = fitted[settings.ridge]
            reach = float(c.leverage(one.size)[0])
            far = ", EXTRAPOLATED" if reach > 1 else ""
            points = f"{c.rows} points of {c.networks} networks, leverage {reach:.2f}{far}"
            lines.append(f"  {c.predict(one.size)[0]:10.2f}  curve of the regime: {points}")
        lines.append(f"  {self.predict(one, settings)[0]:10.2f}  predicted")
        return "\n".join(lines)


def _families(classes: list[str]) -> list[list[int]]:
    """Positions of the classes whose launches are variants of one kind (the same prefix), so that they inform each other."""
    names = [terms.family(c) for c in classes]
    return [
        [i for i, n in enumerate(names) if n == family] for family in dict.fromkeys(names) if family in terms.PREFIXES
    ]


def _relative_nnls(
    matrix: np.ndarray, latency: np.ndarray, families: list[list[int]], networks: np.ndarray
) -> np.ndarray:
    """argmin over c >= 0 of Σ share · ρ((matrix c) / latency - 1) + ridge + differences within families.

    ρ grows linearly beyond two robust standard deviations, of a row and of its network's total: a network that was measured while
    the machine was slow, all its rows alike, is an outlier of which no single row tells.
    """
    network, size_of = np.unique(networks, return_inverse=True, return_counts=True)[1:]
    sums = np.bincount(network, latency)
    share = (latency / sums[network]) ** SHARE_POWER
    share /= np.sqrt((share**2).mean())
    relative = matrix / latency[:, None]
    size = np.sqrt(((relative * share[:, None]) ** 2).mean(axis=0))
    used = np.flatnonzero(size > 0)
    rows, columns = len(latency), len(used)
    scaled = np.zeros((rows, columns + len(families)))  # the families' launches have no rows of their own
    scaled[:, :columns] = relative[:, used] / size[used]
    ridge = np.sqrt(RIDGE * rows) * np.eye(columns, columns + len(families))
    alike = _family_rows(used, size, families, np.quantile(latency, 0.1))
    weight = network_weight = np.ones(rows)
    alone = size_of[network] == 1  # its row's weight says it already
    for _ in range(ROBUST_PASSES):
        whole = share * weight * network_weight
        target = np.concatenate([whole, np.zeros(len(ridge) + len(alike))])
        stacked = np.vstack([scaled * whole[:, None], ridge, alike])
        # The same least squares with as many rows as columns: the last column of the triangle is the target's.
        triangle = np.linalg.qr(np.column_stack([stacked, target]), mode="r")[: stacked.shape[1]]
        solution, _ = nnls(triangle[:, :-1], triangle[:, -1], maxiter=100 * stacked.shape[1])
        residual = scaled @ solution - 1
        weight = _robust(residual) ** 0.5
        total = np.bincount(network, (residual + 1) * latency) / sums
        network_weight = np.where(alone, 1.0, _robust(np.log(np.maximum(total, np.finfo(float).tiny)))[network])
    result = np.zeros(matrix.shape[1])
    result[used] = solution[:columns] / size[used]
    return result


def _speeds(latency: np.ndarray, fitted: np.ndarray, networks: np.ndarray, regime: np.ndarray) -> dict[str, float]:
    """How many times too long the networks took that were measured while the machine was disturbed; most often {}.

    Such a network is an outlier among all (its time-weighted median of latency over fit), and nearly all of its regimes agree.
    """
    off = np.log(latency / np.maximum(fitted, np.finfo(float).tiny))
    rows = pd.DataFrame({"network": networks, "regime": regime, "off": off})
    each = {name: networks == name for name in np.unique(networks)}
    medians = pd.Series({name: _weighted_median(off[own], latency[own]) for name, own in each.items()})
    centre = medians.median()
    limit = GROSS * 1.48 * (medians - centre).abs().median()
    cells = rows.groupby(["network", "regime"])["off"].median() - centre
    found = {}
    for network, median in (medians - centre).items():
        agree = (np.sign(cells[network]) == np.sign(median)).mean()
        if abs(median) > limit and agree >= AGREE and len(cells[network]) >= MIN_REGIMES:
            found[network] = float(np.exp(median))
    return found


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])


def _robust(residual: Any) -> Any:
    """Weights that fall with a residual's distance beyond two robust standard deviations."""
    spread = 1.48 * np.median(np.abs(residual)) + 0.02
    return (1 + (residual / (2 * spread)) ** 2) ** -0.5


def _family_rows(used: np.ndarray, size: np.ndarray, families: list[list[int]], unit: float) -> np.ndarray:
    """Rows that draw each class's launch to one of its family, a further parameter; (classes in families, columns)."""
    place = {int(column): i for i, column in enumerate(used)}
    rows = []
    for number, members in enumerate(families):
        for column in (c for c in members if c in place):
            row = np.zeros(len(used) + len(families))
            row[place[column]], row[len(used) + number] = 1 / size[column] / unit, -1.0
            rows.append(np.sqrt(FAMILY_RIDGE) * row)
    return np.array(rows).reshape(-1, len(used) + len(families))


def _curve(size: np.ndarray, level: np.ndarray, networks: np.ndarray, ridge: float) -> Curve:
    """Weighted ridge regression; every network has the same weight, however often the regime occurs in it."""
    _, which, count = np.unique(networks, return_inverse=True, return_counts=True)
    weight = len(level) / len(count) / count[which]
    centre, mean = np.average(size, axis=0, weights=weight), np.average(level, weights=weight)
    away = size - centre
    precision = np.linalg.inv(away.T @ (away * weight[:, None]) + ridge * np.eye(size.shape[1]))
    slopes = precision @ (away.T @ (weight * (level - mean)))
    return Curve(float(mean), slopes, centre, precision, len(level), len(count))
