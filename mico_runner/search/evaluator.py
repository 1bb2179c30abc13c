"""Evaluations: each distinct configuration once, within the budget, in a journal that survives an interruption."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mico_runner import durable
from mico_runner.errors import StepError
from mico_runner.search.problem import LOSS, QUALITY, Metrics, Problem
from mico_runner.search.rounding import LOSS_DIGITS, significant
from mico_runner.search.space import describe

Record = tuple[dict[str, float], float]  # what an evaluation gave, and the seconds it took


class Evaluator:
    """Evaluates configurations of a problem and counts what they cost.

    Several searches may share the problem's journal. What one finds there is not computed again, yet counts against its budget,
    seconds included: so a search that was interrupted continues as if it had not been, and algorithms compare fairly.
    """

    def __init__(self, problem: Problem, on_evaluation: Callable[[], object] = lambda: None) -> None:
        self._problem, self._on_evaluation = problem, on_evaluation
        self._known = _read(problem)
        self._counted: set[tuple[int, ...]] = set()
        self.seconds = 0.0

    @property
    def count(self) -> int:
        """Distinct configurations evaluated so far."""
        return len(self._counted)

    @property
    def left(self) -> int:
        """Evaluations that the budget still allows."""
        budget = self._problem.budget
        if budget.seconds is not None and self.seconds >= budget.seconds:
            return 0
        return max(budget.evaluations - self.count, 0)

    def __call__(self, configs: np.ndarray) -> tuple[np.ndarray, Metrics]:
        """The leading configurations that the budget allows (k, layers), and all their metrics (k,)."""
        done: list[tuple[int, ...]] = []
        keys = [tuple(row) for row in configs.tolist()]
        while len(done) < len(keys) and self.left:
            step = min(self._problem.batch, self.left)
            batch = keys[len(done) : len(done) + step]
            self._ensure(batch)
            for key in batch:
                self._count(key)
            done += batch
        observed = np.array(done, dtype=np.int64).reshape(-1, len(self._problem.space.layers))
        measured = [self._known[key][0] for key in done]
        names = list(measured[0]) if measured else [QUALITY]
        return observed, {n: np.array([m[n] for m in measured]) for n in names} | self._problem.free(observed)

    def evaluate(self, config: np.ndarray) -> dict[str, float]:
        """The measured metrics of one configuration, outside the budget: for messages."""
        key = tuple(config.tolist())
        self._ensure([key])
        return self._known[key][0]

    def _count(self, key: tuple[int, ...]) -> None:
        if key not in self._counted:
            self._counted.add(key)
            self.seconds += self._known[key][1]
            self._on_evaluation()

    def _ensure(self, keys: list[tuple[int, ...]]) -> None:
        new = list(dict.fromkeys(key for key in keys if key not in self._known))
        if not new:
            return
        start = time.perf_counter()
        values = {k: np.asarray(v, dtype=float) for k, v in self._problem.evaluate(np.array(new)).items()}
        seconds = (time.perf_counter() - start) / len(new)
        for i, key in enumerate(new):
            result = {name: float(column[i]) for name, column in values.items()}
            if LOSS in result:
                result[LOSS] = float(significant(np.array(result[LOSS]), LOSS_DIGITS))
            if not np.isfinite(list(result.values())).all():
                at = describe(self._problem.space.decode(np.array(key)))
                raise StepError(f"the evaluation of {at} gave {result}")
            self._known[key] = (result, seconds)
        self._write(new)

    def _write(self, keys: list[tuple[int, ...]]) -> None:
        journal = self._problem.journal
        if journal is None:
            return
        lines = [] if journal.exists() else [_header(self._problem)]
        lines += [{"config": key, "metrics": self._known[key][0], "seconds": self._known[key][1]} for key in keys]
        durable.append_lines(journal, lines)


def _header(problem: Problem) -> dict[str, object]:
    space = problem.space
    return {"journal": 1, "layers": space.layers, "choices": space.choices}


def _read(problem: Problem) -> dict[tuple[int, ...], Record]:
    """Finished evaluations. What is damaged, or of another search space, is dropped, with a line to the problem's log."""
    path: Path | None = problem.journal
    if path is None:
        return {}
    lines, dropped = durable.read_lines(path)
    if lines and lines[0] != json.loads(json.dumps(_header(problem))):
        dropped, lines = "its first line is not that of this search space", []
    if dropped:
        problem.log(f"{path.name}, of an interrupted search: {dropped}; {max(len(lines) - 1, 0)} evaluations are kept")
    if not lines:
        durable.remove(path)
    rows: list[Any] = lines[1:]
    return {tuple(row["config"]): (row["metrics"], row["seconds"]) for row in rows}
