"""Calibration of the machine one sits at: its micro-benchmarks, timed within a budget."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from mico_runner import durable
from mico_runner.calibration import benchmarks, timing
from mico_runner.calibration.cases import Case, Plan
from mico_runner.sections import Calibrate

SECONDS_PER_CASE = {"quick": 0.25, "full": 2.0}
SECONDS = {
    "quick": 90.0,
    "full": 1000.0,
}  # of all cases together, set-up included: the rest of 2 and 20 minutes is for the fit
TOLERANCE = {"quick": 0.03, "full": 0.01}


class Point(TypedDict):
    """A case's fields, what it counts (`Case.counts`, besides), and its times in seconds."""

    key: str
    op: str
    precision: str
    batch: int
    shape: dict[str, int]
    flops: float
    bytes: float
    seconds: float
    spread: float
    half_width: float
    samples: list[float]


def planned(section: Calibrate) -> list[Case]:
    """The cases that a spec's `calibrate` section asks for."""
    return Plan(section.operations, section.precisions, section.batches, section.budget == "quick").cases()


def measure(
    section: Calibrate,
    journal: Path,
    progress: Any = None,
    log: Callable[[str], None] = lambda line: None,
) -> list[Point]:
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


def _point(case: Case, timed: timing.Timing) -> Point:
    counts: Any = {k: v for k, v in case.counts().items() if k != "op"}
    about = {"key": case.key, "op": case.op, "precision": case.precision, "batch": case.batch, "shape": case.shape}
    measured = {
        "seconds": timed.median,
        "spread": timed.spread,
        "half_width": timed.half_width,
        "samples": timed.samples,
    }
    return about | counts | {"flops": case.flops, "bytes": case.bytes} | measured
