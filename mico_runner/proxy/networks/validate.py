"""How well few measured networks predict all others, on devices that are tested as if they were new."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from mico_runner.data.network_table import NetworkTable, Split
from mico_runner.errors import UsageError
from mico_runner.proxy.networks.few_shot import space
from mico_runner.proxy.networks.process import Posterior
from mico_runner.validation.metrics import absolute_percentage_errors

COVERAGE = 0.9  # nominal, of the intervals
FEWEST_TESTED = 2  # networks that a device is tested on: one has no rank


@dataclass(frozen=True)
class Options:
    """How a device is tested.

    Attributes:
        samples: networks that it measures, each number by itself.
        choose: how they are chosen, a name of `choosing.CHOOSERS`.
        source_rows: networks whose latencies on the source devices are known, at most half of all; none of them is tested.
        draws: of these networks, each of which is a test by itself.
        seed: of the draws.
    """

    samples: tuple[int, ...]
    choose: str
    source_rows: int
    draws: int
    seed: int


class Outcome(NamedTuple):
    """What `validate` finds.

    Attributes:
        tests: split, target, samples, draw, networks, spearman, mape and median (fractions: of the errors), coverage and
            width (a fraction of the latency) of the 90 % intervals.
        chosen: split, target, samples, network (its row): those that the first draw measures.
        embedding: split, device, role (source, computed, target), x, y: the devices' costs on their two principal axes.
    """

    tests: pd.DataFrame
    chosen: pd.DataFrame
    embedding: pd.DataFrame


def validate(table: NetworkTable, splits: Mapping[str, Split], options: Options) -> Outcome:
    """Test every target device of every split.

    Raises UnknownName, UsageError: a device is unknown, or has too few latencies to be tested.
    """
    parts = [_split(table, name, split, options) for name, split in splits.items()]
    return Outcome(*(pd.concat([part[number] for part in parts], ignore_index=True) for number in range(3)))


def _split(table: NetworkTable, name: str, split: Split, options: Options) -> Outcome:
    sources = {device: table.measured(device) for device in split.sources} | table.computed
    targets = {device: table.measured(device) for device in split.targets}
    tests, chosen, embedding = [], [], []
    count = len(table.architecture)
    for draw in range(options.draws):
        rng = np.random.default_rng([options.seed, draw])
        order = rng.permutation(count)
        rows = order[: min(options.source_rows, count // 2)]
        known = space(table.architecture, list(sources.values()), rows)
        learned: dict[str, Posterior] = {}
        choices: dict[tuple[bytes, int], np.ndarray] = {}  # devices that measured the same networks choose the same
        for device, latency in targets.items():
            pool = np.setdiff1d(np.flatnonzero(np.isfinite(latency)), rows)
            for samples in options.samples:
                if len(pool) < samples + FEWEST_TESTED:
                    raise UsageError(
                        f"split {name}: {device} has {len(pool)} latencies of networks that the sources do not learn from; "
                        f"allowed: {samples + FEWEST_TESTED} or more, of which {samples} are learned from"
                    )
                key = (pool.tobytes(), samples)
                if key not in choices:
                    choices[key] = known.choose(pool, samples, options.choose, rng)
                picked = choices[key]
                learned[device] = known.learn(picked, latency[picked])
                tested = np.setdiff1d(pool, picked)
                about = {"split": name, "target": device, "samples": samples}
                tests.append(about | {"draw": draw} | _errors(learned[device], known.features[tested], latency[tested]))
                if draw == 0:
                    chosen += [about | {"network": int(network)} for network in picked]
        if draw == 0:
            costs = np.vstack([known.prior.costs, *(_alike(each, known.features[rows]) for each in learned.values())])
            roles = ["source"] * len(split.sources) + ["computed"] * len(table.computed) + ["target"] * len(learned)
            devices = [*sources, *learned]
            embedding += [
                {"split": name, "device": device, "role": role, "x": x, "y": y}
                for device, role, (x, y) in zip(devices, roles, _axes(costs), strict=True)
            ]
    return Outcome(pd.DataFrame(tests), pd.DataFrame(chosen), pd.DataFrame(embedding))


def summary(tests: pd.DataFrame) -> pd.DataFrame:
    """Per split and number of samples: means over devices and draws, and the 95 % interval of the mean rank correlation over draws.

    Columns: split, samples, spearman, low, high, mape, median, coverage, width.
    """
    rows = []
    for (split, samples), part in tests.groupby(["split", "samples"], sort=False):
        by_draw = part.groupby("draw")["spearman"].mean()
        error = by_draw.std() / np.sqrt(len(by_draw)) if len(by_draw) > 1 else 0.0
        half = float(stats.t.ppf(0.975, max(len(by_draw) - 1, 1)) * error)
        means = part[["spearman", "mape", "median", "coverage", "width"]].mean()
        row = {"split": split, "samples": samples, **means, "low": means["spearman"] - half}
        rows.append(row | {"high": means["spearman"] + half})
    return pd.DataFrame(rows)


def geometric_mean(values: Sequence[float]) -> float:
    """Of rank correlations, as they are published; 0 where one of them is not positive."""
    found = np.asarray(values, dtype=float)
    return float(np.exp(np.log(found).mean())) if (found > 0).all() else 0.0


def _errors(device: Posterior, features: np.ndarray, latency: np.ndarray) -> dict[str, float]:
    predicted = device.predict(features)
    low, high = device.interval(features, COVERAGE)
    errors = absolute_percentage_errors(latency, predicted)
    return {
        "networks": len(latency),
        "spearman": float(stats.spearmanr(predicted, latency).statistic),
        "mape": float(errors.mean()),
        "median": float(np.median(errors)),
        "coverage": float(((low <= latency) & (latency <= high)).mean()),
        "width": float(((high - low) / latency).mean()),
    }


def _alike(device: Posterior, features: np.ndarray) -> np.ndarray:
    """The device's costs in the scale of the sources', float64 (1, features)."""
    costs = device.mean[1:]
    return costs[None] / max(float((features @ costs).std()), np.finfo(float).tiny)


def _axes(costs: np.ndarray) -> np.ndarray:
    """Each row's two principal coordinates, float64 (rows, 2); the larger part of an axis is positive, so that a plot repeats."""
    centred = costs - costs.mean(axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    coordinates = np.pad(u * s, ((0, 0), (0, 2)))[:, :2]
    ends = coordinates[np.abs(coordinates).argmax(axis=0), [0, 1]]
    return coordinates * np.where(ends < 0, -1.0, 1.0)
