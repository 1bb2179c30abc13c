"""Calibration of the machine one sits at: micro-benchmarks in, a profile with its curves and an estimator for networks out."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mico_runner.calibration import benchmarks, curves, terms, timing
from mico_runner.calibration.cases import Case, Plan
from mico_runner.calibration.latency import CANDIDATES, Settings, SubgraphLatency, Table
from mico_runner.errors import UsageError

SECONDS_PER_CASE = {"quick": 0.25, "full": 2.0}
TOLERANCE = {"quick": 0.03, "full": 0.01}
FOLDS = 5
MIN_SIZES = 4  # distinct sizes from which an operation gets a curve


def measure(section: dict[str, Any], journal: Path, progress: Any = None, seed: int = 0) -> list[dict[str, Any]]:
    """Time every case of the plan, in a shuffled order so that no operation falls into one bad moment.

    Args:
        section: `operations`, `precisions`, `batches`, `budget` ("quick" or "full"), `threads`, as the spec's `calibrate` has them.
        journal: JSON lines; points in it are not measured again, so an interrupted run goes on where it stopped.

    Returns:
        points: the case's fields, `key`, `flops`, `bytes`, `seconds` (median), `spread`, `half_width`, `samples`.
    """
    import torch

    plan = Plan(section["operations"], section["precisions"], section["batches"], section["budget"] == "quick")
    done = {}
    if journal.is_file():
        lines = journal.read_text(encoding="utf-8").splitlines(keepends=True)
        done = {p["key"]: p for p in (json.loads(line) for line in lines if line.endswith("\n"))}
        journal.write_text("".join(json.dumps(p) + "\n" for p in done.values()), encoding="utf-8")
    cases = plan.cases()
    waiting = [c for c in np.random.default_rng(seed).permutation(np.array(cases, dtype=object)) if c.key not in done]
    before = torch.get_num_threads()
    torch.set_num_threads(section["threads"])
    budget = section["budget"]
    try:
        with torch.inference_mode(), journal.open("a", encoding="utf-8") as out:
            wrapped: Iterable[Case] = progress(waiting, desc="calibrate") if progress else waiting
            for case in wrapped:
                timed = timing.measure(
                    *benchmarks.build(case), TOLERANCE[budget], SECONDS_PER_CASE[budget], section["threads"]
                )
                done[case.key] = _point(case, timed)
                out.write(json.dumps(done[case.key]) + "\n")
                out.flush()
    finally:
        torch.set_num_threads(before)
    return [done[c.key] for c in cases]


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


def profile(points: list[dict[str, Any]], restlessness: float) -> dict[str, Any]:
    """Peaks, bandwidths, per-operation points and curves of the measurements; JSON-able.

    Efficiency is FLOP/s over the highest measured FLOP/s of that precision; of operators without FLOPs, bytes/s over the highest.
    """
    table = pd.DataFrame(points)
    result: dict[str, Any] = {
        "measured": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "restlessness": restlessness,
        "quiet": restlessness <= timing.QUIET_SPREAD,
        "peaks": {},
        "operations": {},
    }
    for precision, rows in table.groupby("precision"):
        flops, moved = rows[rows["flops"] > 0], rows[rows["op"] == "copy"]
        peak = float((flops["flops"] / flops["seconds"]).max()) if len(flops) else None
        sets = (moved["bytes"] / moved["seconds"]).groupby(moved["bytes"]).median()
        bandwidth = {"by_working_set_bytes": {str(int(k)): float(v) for k, v in sets.items()}}
        result["peaks"][precision] = {"flops_per_s": peak, "bytes_per_s": bandwidth}
        best_moved = float((rows["bytes"] / rows["seconds"]).max())
        for op, some in rows.groupby("op"):
            computes = some["flops"].max() > 0
            size = some["flops"] if computes else some["bytes"]
            if (size <= 0).any():
                continue  # an operator that only looks at its input: a launch, no curve
            efficiency = size / some["seconds"] / (peak if computes else best_moved)
            entry = {
                "of": "flops" if computes else "bytes",
                "points": [
                    {"flops": f, "bytes": b, "shape": s, "batch": n, "efficiency": e, "std": w / t * e, "n": len(raw)}
                    for f, b, s, n, e, w, t, raw in zip(
                        *(some[c] for c in ("flops", "bytes", "shape", "batch")),
                        efficiency,
                        *(some[c] for c in ("spread", "seconds", "samples")),
                        strict=True,
                    )
                ],
            }
            if size.nunique() >= MIN_SIZES:
                entry["curve"] = curves.choose(size.to_numpy(), efficiency.to_numpy()).to_json()
            result["operations"][f"{op}/{precision}"] = entry
    return result


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


def environment(threads: int) -> dict[str, Any]:
    """Processor, cores, threads used, versions: what a profile belongs to."""
    import os
    import platform

    import torch

    import mico_runner

    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return {
        "mico_runner": mico_runner.__version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": next(named, platform.machine()),
        "cores": os.cpu_count(),
        "threads": threads,
        "capability": torch.backends.cpu.get_cpu_capability(),
    }


def verify(
    model: Estimator,
    points: list[dict[str, Any]],
    names: list[str],
    threads: int,
    progress: Any = None,
    rounds: int = 9,
) -> pd.DataFrame:
    """Predict whole networks, then measure them end to end, in turns, so that a slow minute hits all alike.

    Returns:
        per network: network, predicted_s, datasheet_s (MACs at the measured peak, the roofline without curves), measured_s (median),
        spread_s (between the quartiles), operators, error (signed fraction of the measured time).
    """
    import torch

    from mico_runner.calibration import networks
    from mico_runner.calibration.capture import capture

    peak = max(p["flops"] / p["seconds"] for p in points)
    moved = max(p["bytes"] / p["seconds"] for p in points)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    ready, records = {}, []
    now = timing.clock(threads)
    try:
        for name in names:
            network, inputs = networks.NETWORKS[name]().eval(), networks.example(name)
            operators = capture(network, inputs)
            predicted = model.predict(operators).sum()
            traffic = 4 * (operators["weights"] + operators["elements"])
            datasheet = np.maximum(2 * operators["macs"] / peak, traffic / moved).sum()
            ready[name] = network, inputs, []
            records.append(
                {"network": name, "predicted_s": predicted, "datasheet_s": datasheet, "operators": len(operators)}
            )
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
    return table.assign(error=table["predicted_s"] / table["measured_s"] - 1)


def grades(outcome: pd.DataFrame) -> dict[str, Any]:
    """Errors of `verify`'s table in a few numbers, and how many networks are excellent (within 10 %), good (20), fair (30), poor."""
    ape, rough = outcome["error"].abs(), (outcome["datasheet_s"] / outcome["measured_s"] - 1).abs()
    grade = pd.cut(ape, [-1, 0.1, 0.2, 0.3, np.inf], labels=["excellent", "good", "fair", "poor"])
    return {
        "networks": outcome["network"].tolist(),
        "mape": float(ape.mean()),
        "max_ape": float(ape.max()),
        "datasheet_mape": float(rough.mean()),
        "grades": {str(k): int(v) for k, v in grade.value_counts(sort=False).items()},
    }
