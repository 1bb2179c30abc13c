"""A sweep: the cells of a spec's matrix on workers, each step that several cells have in common run once.

    plan = SweepPlan(spec.sweep("specs/sweep-quickstart.yaml"), Options())
    plan.rows()            # each step: how many cells need it, how many results that makes, what is there already, what it will cost
    result = plan.run()    # does it, and writes a version of the sweep: table.csv, table.md, front.csv, metrics.json

A cell's versions lie in `<outputs>/<name>/cells/<cell>/`. Steps are what is handed out: a step of one cell begins when the results that it
reads from are there, whichever cell they were computed for; a cell is written when all of its steps have ended.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol

from mico_runner.errors import MicoError, UsageError
from mico_runner.executor import Outcome, Slots, mounts, open_workers
from mico_runner.outputs import store
from mico_runner.outputs.sweep_version import CellResult, write_sweep
from mico_runner.pipeline import Options
from mico_runner.pipeline.cache import sweep as clean
from mico_runner.pipeline.planning import Plan
from mico_runner.pipeline.running import RunResult, check, complete, compute
from mico_runner.pipeline.scheduling import Node, execute
from mico_runner.registry import Registry
from mico_runner.sections import Executor, Sections
from mico_runner.sources import Sources
from mico_runner.steps import STEPS


class Cell(Protocol):
    """See `mico_runner.spec.matrix.Cell`, whose spec is asked for its resolved data."""

    @property
    def name(self) -> str: ...
    @property
    def values(self) -> Any: ...
    @property
    def data(self) -> Mapping[str, object]: ...


@dataclass(frozen=True)
class SweepRow:
    """One step over all cells.

    Attributes:
        cells: that have the step.
        results: different ones: the cells share them.
        cached: results that are there.
        run: results that a run computes.
        seconds: processor time of one, on average over what earlier runs of this sweep or spec took; None: not known.
    """

    step: str
    cells: int
    results: int
    cached: int
    run: int
    seconds: float | None


@dataclass(frozen=True)
class SweepResult:
    """A finished sweep.

    Attributes:
        version: its folder.
        cells: how each ended.
    """

    version: Path
    cells: list[CellResult]

    @property
    def failed(self) -> dict[str, str]:
        """Cell -> why it has no result."""
        return {cell.name: cell.error for cell in self.cells if cell.error}

    @property
    def broken(self) -> dict[str, list[str]]:
        """Cell -> its broken gates."""
        return {cell.name: cell.broken for cell in self.cells if cell.broken}

    @property
    def exit_code(self) -> int:
        """0; 4 when a cell failed, else 3 when one broke a gate."""
        return 4 if self.failed else 3 if self.broken else 0


class SweepPlan:
    """The plans of all cells, and which steps they share.

    Args:
        base: the resolved spec of the sweep, its matrix included.
        axes: names of the columns that tell cells apart.

    Raises as `Plan`, for every cell.
    """

    def __init__(
        self,
        base: Mapping[str, object],
        axes: Sequence[str],
        cells: Sequence[Cell],
        options: Options,
        registry: Registry = STEPS,
        form: type[Sections] = Sections,
    ) -> None:
        if options.only:
            raise UsageError("--only: a sweep runs whole specs; --set steps=[...] names the steps of every cell")
        self.base: dict[str, Any] = dict(base)
        self.axes, self.options = tuple(axes), options
        self.cells = {cell.name: cell for cell in cells}
        self.executor = Executor(**self.base["executor"] | ({"jobs": options.jobs} if options.jobs else {}))
        self.plans: dict[str, Plan] = {}
        self._cells_of: dict[Hashable, list[str]] = {}
        self._left = 0
        with Sources() as sources:
            for cell in cells:
                own = replace(options, cell=cell.name, jobs=1, quiet=True)
                self.plans[cell.name] = Plan(cell.data, own, registry, form, sources)
        self.prints = {name: {step: plan.fingerprint(step) for step in plan.steps} for name, plan in self.plans.items()}

    @property
    def folder(self) -> Path:
        """Of the versions."""
        found: Path = self.options.outputs / self.base["name"]
        return found

    def rows(self) -> list[SweepRow]:
        """The shared plan, a row for each step, in order."""
        seconds = self._seconds()
        steps: dict[str, dict[str, Plan]] = {}
        needed: dict[str, int] = {}
        for name, plan in self.plans.items():
            for step in plan.steps:
                steps.setdefault(step, {}).setdefault(self.prints[name][step], plan)
                needed[step] = needed.get(step, 0) + 1
        rows = []
        for step, results in sorted(steps.items(), key=lambda item: self._order(item[0])):
            run = sum(plan.is_forced(step) or not plan.entry(step).finished for plan in results.values())
            rows.append(SweepRow(step, needed[step], len(results), len(results) - run, run, seconds.get(step)))
        return rows

    def run(self) -> SweepResult:
        """Run all cells; one that fails does not stop the others.

        Raises UsageError as `running.run` does, before any step runs.
        """
        for plan in self.plans.values():
            check(plan)
        store.check(self.folder)
        clean(self.options.outputs)
        if self.executor.address is not None:
            mounts.check_shared(self.options.outputs)
        with open_workers(self.executor, self._say) as (workers, slots):
            outcomes = execute(self._nodes(slots), workers, self._told)
        results = [self._result(name, outcomes) for name in self.plans]
        version = store.new_version(
            self.folder, lambda folder: write_sweep(folder, self.base, self.axes, results, self.options.outputs)
        )
        return SweepResult(version, results)

    def _nodes(self, slots: Slots) -> list[Node]:
        """Each result that is not there yet, once, for the first cell that needs it; each cell behind its steps."""
        nodes: dict[Hashable, Node] = {}
        cached: dict[Hashable, bool] = {}
        for name, plan in self.plans.items():
            keys: dict[str, Hashable] = {step: (step, self.prints[name][step]) for step in plan.steps}
            ran: dict[str, str] = {}
            for step, key in keys.items():
                if key not in cached:
                    cached[key] = not plan.is_forced(step) and plan.entry(step).finished
                ran[step] = "cached" if cached[key] or key in nodes else "run"
                if not cached[key]:
                    after = [keys[upstream] for upstream in plan.upstream(step) if keys[upstream] in nodes]
                    nodes.setdefault(key, Node(key, compute, (plan, step, slots), after))
                    self._cells_of.setdefault(key, []).append(name)
            nodes[name] = Node(name, complete, (plan, ran, slots), [key for key in keys.values() if key in nodes])
        self._left = len(nodes)
        return list(nodes.values())

    def _told(self, outcome: Outcome) -> None:
        self._left -= 1
        if isinstance(outcome.key, tuple):
            first, *more = self._cells_of[outcome.key]
            how = f"failed: {reason_of(outcome.error)}" if outcome.error else "done"
            self._say(f"{outcome.key[0]} of {first}{f' and {len(more)} more' if more else ''}: {how}")
        elif outcome.error is None:
            gates = "".join(f"; gate broken: {gate}" for gate in outcome.value.broken_gates)
            self._say(f"{outcome.key}: done{gates}; {self._left} steps and cells to go")
        else:
            self._say(f"{outcome.key}: failed; {self._left} steps and cells to go")

    def _result(self, name: str, outcomes: dict[Hashable, Outcome]) -> CellResult:
        outcome, values = outcomes[name], dict(self.cells[name].values)
        if outcome.error is not None:
            return CellResult(name, values, error=reason_of(outcome.error))
        result: RunResult = outcome.value
        broken = [str(gate) for gate in result.broken_gates]
        return CellResult(name, values, result.version, result.metrics, broken=broken)

    def _seconds(self) -> dict[str, float]:
        """Processor time of each step, on average over the newest versions of the cells, or else of the spec."""
        found: dict[str, list[float]] = {}
        for folder in (*(plan.folder for plan in self.plans.values()), self.folder):
            newest = store.latest(folder)
            with suppress(UsageError):  # a damaged one says nothing
                for step, about in (store.manifest(newest)["steps"] if newest else {}).items():
                    if about.get("cpu_seconds"):
                        found.setdefault(step, []).append(about["cpu_seconds"])
        return {step: fmean(values) for step, values in found.items()}

    def _order(self, step: str) -> int:
        return next(plan.listed.index(step) for plan in self.plans.values() if step in plan.listed)

    def _say(self, text: str) -> None:
        if not self.options.quiet:
            print(text, file=sys.stderr)


def reason_of(error: Exception | None) -> str:
    return str(error) if isinstance(error, MicoError) else f"{type(error).__name__}: {error}"
