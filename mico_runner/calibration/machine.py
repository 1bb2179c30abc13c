"""Calibration of the machine one sits at: micro-benchmarks in, an estimator for networks out, and networks measured to judge it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mico_runner import durable
from mico_runner.calibration import benchmarks, terms, timing
from mico_runner.calibration.cases import Case, Plan
from mico_runner.calibration.latency import CANDIDATES, Settings, SubgraphLatency, Table
from mico_runner.calibration.roofline import Roofline
from mico_runner.errors import UsageError
from mico_runner.sections import Calibrate

SECONDS_PER_CASE = {"quick": 0.25, "full": 2.0}
SECONDS = {
    "quick": 90.0,
    "full": 1000.0,
}  # of all cases together, set-up included: the rest of 2 and 20 minutes is for the fit
TOLERANCE = {"quick": 0.03, "full": 0.01}
FOLDS = 5


def planned(section: Calibrate) -> list[Case]:
    """The cases that a spec's `calibrate` section asks for."""
    return Plan(section.operations, section.precisions, section.batches, section.budget == "quick").cases()


def measure(
    section: Calibrate,
    journal: Path,
    progress: Any = None,
    log: Callable[[str], None] = lambda line: None,
) -> list[dict[str, Any]]:
    """Time the cases of the plan until the budget's time is up; in an order that is fair whenever that happens (`_fair`).

    Args:
        journal: JSON lines; points in it are not measured again, so an interrupted run goes on where it stopped. Damaged lines are
            dropped, with a line to `log`.

    Returns:
        points: the case's fields, `key`, `flops`, `bytes`, `seconds` (median), `spread`, `half_width`, `samples`; in the plan's order,
            without the cases for which there was no time.
    """
    import torch

    points, dropped = durable.read_lines(journal)
    if dropped:
        log(f"{journal.name}, of an interrupted calibration: {dropped}; {len(points)} points are kept")
    done = {p["key"]: p for p in points}
    cases = planned(section)
    waiting = [c for c in _fair(cases, np.random.default_rng(section.seed)) if c.key not in done]
    before = torch.get_num_threads()
    torch.set_num_threads(section.threads)
    budget = section.budget
    limit = min(SECONDS_PER_CASE[budget], SECONDS[budget] / max(len(cases), 1))
    deadline = time.perf_counter() + SECONDS[budget]
    try:
        with torch.inference_mode():
            wrapped: Iterable[Case] = progress(waiting, desc="calibrate") if progress else waiting
            for case in wrapped:
                if time.perf_counter() > deadline:
                    break
                timed = timing.measure(*benchmarks.build(case), TOLERANCE[budget], limit, section.threads)
                done[case.key] = _point(case, timed)
                durable.append_lines(journal, [done[case.key]])
    finally:
        torch.set_num_threads(before)
    return [done[c.key] for c in cases if c.key in done]


def _fair(cases: list[Case], rng: np.random.Generator) -> list[Case]:
    """Shuffled, so that no operation falls into one bad moment; every beginning has its share of each operation, precision, batch."""
    groups = defaultdict(list)
    for number, case in enumerate(cases):
        groups[case.op, case.precision, case.batch].append(number)
    place = np.empty(len(cases))
    for numbers in groups.values():
        place[rng.permutation(numbers)] = (np.arange(len(numbers)) + rng.random(len(numbers))) / len(numbers)
    return [cases[number] for number in np.argsort(place)]


def _point(case: Case, timed: timing.Timing) -> dict[str, Any]:
    counts = {k: v for k, v in case.counts().items() if k != "op"}
    about = {"key": case.key, "op": case.op, "precision": case.precision, "batch": case.batch, "shape": case.shape}
    measured = {
        "seconds": timed.median,
        "spread": timed.spread,
        "half_width": timed.half_width,
        "samples": timed.samples,
    }
    return about | counts | {"flops": case.flops, "bytes": case.bytes} | measured


def table_of(operators: pd.DataFrame, names: Iterable[str]) -> Table:
    """A table of single operators, one per row; `names` say which measurements belong together."""
    operators = operators.reset_index(drop=True).assign(row=range(len(operators)))
    subgraphs = pd.DataFrame({"model": list(names), "fusion_pattern": operators["op"]})
    return Table(subgraphs, operators, operators["op"].to_numpy(str), terms.sizes(operators, len(operators)))


@dataclass(frozen=True)
class Estimator:
    """Latency of single operators in seconds at one precision.

    Attributes:
        settings: per operator class how structure and curve are combined; what the cross-validation chose.
        errors: per operator class the root mean square of log latency, cross-validated.
    """

    model: SubgraphLatency
    settings: dict[str, Settings]
    errors: dict[str, float]

    def predict(self, operators: pd.DataFrame) -> np.ndarray:
        """Seconds of each operator (rows as `capture.capture` gives them), float64 (rows,)."""
        table = table_of(operators, operators["op"])
        seconds = np.empty(len(table))
        for op in np.unique(table.regime):
            rows = np.flatnonzero(table.regime == op)
            seconds[rows] = self.model.predict(table.take(rows), self.settings.get(op, CANDIDATES[0]))
        return seconds

    def explain(self, operator: pd.DataFrame) -> str:
        """The prediction of one operator (a table of one row) in words, and its cross-validated error."""
        op = operator["op"].iloc[0]
        text = self.model.explain(table_of(operator, [op]), 0, self.settings.get(op, CANDIDATES[0]))
        return f"{text}, ±{100 * np.expm1(self.errors[op]):.0f} %" if op in self.errors else f"{text}, never measured"


def estimator(points: list[dict[str, Any]], precision: str = "fp32", seed: int = 0) -> Estimator:
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
    return Estimator(SubgraphLatency().fit(table, seconds, ridges), chosen, errors)


def verify(
    model: Estimator,
    names: Sequence[str],
    threads: int,
    rooflines: dict[str, Roofline],
    progress: Any = None,
    rounds: int = 9,
) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """Predict whole networks at fp32, then measure them end to end, in turns, so that a slow minute hits all alike.

    Returns:
        per network: network, operators, predicted_s, `<name>_s` of each of `rooflines`, measured_s (median), spread_s (between the
        quartiles), error (signed fraction of the measured time);
        and by network, per operator the sentence in which the first of `rooflines` explains its figure.
    """
    import torch

    from mico_runner.calibration import networks
    from mico_runner.calibration.capture import capture

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    ready, records, traces = {}, [], {}
    now = timing.clock(threads)
    try:
        for name in names:
            network, inputs = networks.NETWORKS[name]().eval(), networks.example(name)
            operators = capture(network, inputs)
            ready[name] = network, inputs, []
            record = {"network": name, "operators": len(operators), "predicted_s": model.predict(operators).sum()}
            record |= {f"{which}_s": roofline.predict(operators).sum() for which, roofline in rooflines.items()}
            records.append(record)
            for roofline in list(rooflines.values())[:1]:
                traces[name] = [roofline.explain(operators.iloc[[i]]) for i in range(len(operators))]
        with torch.inference_mode():
            for turn in progress(range(rounds + 1), desc="networks") if progress else range(rounds + 1):
                for network, inputs, times in ready.values():
                    begin = now()
                    network(*inputs)
                    if turn:  # the first one allocates and chooses code paths
                        times.append(now() - begin)
    finally:
        torch.set_num_threads(before)
    measured = {name: timing.summary(times) for name, (_, _, times) in ready.items()}
    table = pd.DataFrame(records)
    table["measured_s"] = [measured[n].median for n in table["network"]]
    table["spread_s"] = [measured[n].spread for n in table["network"]]
    return table.assign(error=table["predicted_s"] / table["measured_s"] - 1), traces
