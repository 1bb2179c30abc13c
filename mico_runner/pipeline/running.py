"""Runs the steps of a spec and writes the version."""

from __future__ import annotations

import json
import resource
import sys
import time
import traceback
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mico_runner import durable
from mico_runner.errors import MicoError, StepError, StepSkipped
from mico_runner.executor import ALONE, DASK, Mapper, Slots, Workers, open_workers
from mico_runner.outputs import environment, store
from mico_runner.pipeline import Options
from mico_runner.pipeline.assembly import Finished, assemble, written
from mico_runner.pipeline.cache import Entry, sweep
from mico_runner.pipeline.context import Context, Folders
from mico_runner.pipeline.fingerprint import canonical
from mico_runner.pipeline.gates import BrokenGate, broken_gates, matches
from mico_runner.pipeline.planning import Plan
from mico_runner.pipeline.pulse import Pulse
from mico_runner.pipeline.scheduling import Node, execute, raising
from mico_runner.registry import Registry
from mico_runner.sections import Sections
from mico_runner.steps import STEPS
from mico_runner.steps.base import Metric


@dataclass(frozen=True)
class RunResult:
    """A finished run.

    Attributes:
        version: its folder.
        statuses: step -> "run", "cached" or "skipped".
        skipped: step -> what is missing and how to install it.
        broken_gates: the gates that do not hold; `gates.table` prints them.
    """

    version: Path
    metrics: dict[str, Metric]
    statuses: dict[str, str]
    skipped: dict[str, str]
    broken_gates: list[BrokenGate]

    @property
    def exit_code(self) -> int:
        """0, or 3 when a gate is broken."""
        return 3 if self.broken_gates else 0


def run(
    data: Mapping[str, object], options: Options, registry: Registry = STEPS, form: type[Sections] = Sections
) -> RunResult:
    """Run the spec's steps, those in the cache excepted, and write a version.

    With `only`, gates on metrics that the left-out steps would write are not checked, and the version is one of `<name>.<step>`:
    it would else pass for the newest of the whole spec. With several jobs, steps that do not read from one another run at the same time.

    Raises:
        StepError: a step failed; no version is written, finished steps stay in the cache.
        UnknownName, UsageError: as `Plan` and `store.check` do, before any step runs.
    """
    plan = Plan(data, options, registry, form)
    check(plan)
    sweep(options.outputs)
    if plan.executor.backend != DASK and plan.executor.jobs == 1:
        return complete(plan)
    with open_workers(plan.executor, partial(_say, plan)) as (workers, slots):
        if (
            plan.executor.backend == DASK
        ):  # its steps stay here, what they map goes out: no other machine needs to see the results
            return complete(plan, slots=workers)
        outcomes = execute([of_step(plan, step, slots) for step in plan.steps], workers, raising)
    return complete(plan, {str(key): outcome.value for key, outcome in outcomes.items()})


def check(plan: Plan) -> None:
    """Raise UsageError where no version or result could be written."""
    store.check(plan.folder, [plan.entry(step).folder.parent for step in plan.steps])


def of_step(plan: Plan, step: str, slots: Slots) -> Node:
    """The work of `compute`."""
    return Node(step, compute, (plan, step, slots), plan.upstream(step))


def compute(plan: Plan, step: str, slots: Slots = ALONE) -> str:
    """Bring one step's result into the cache when those of its upstream steps are there; returns its status.

    Raises as `run` for the step.
    """
    names = plan.closure(step)
    with _Walk(plan, dict.fromkeys(names[:-1], ""), slots) as walk:
        for name in names:
            walk.bring(name)
        return walk.done.statuses[step]


def complete(plan: Plan, known: dict[str, str] | None = None, slots: Slots | Workers = ALONE) -> RunResult:
    """Run what is not in the cache yet, and write the version.

    Args:
        known: the status of each step that `compute` has brought into the cache for this run.

    Raises as `run`.
    """
    data, options = plan.data, plan.options
    with _Walk(plan, known or {}, slots) as walk:
        for step in plan.steps:
            walk.bring(step)
        done = walk.done
        if options.only:
            data = {**data, "gates": {gate: b for gate, b in data["gates"].items() if matches(gate, done.metrics)}}
        data = {**data, "steps": plan.steps}
        broken = broken_gates(data["gates"], done.metrics)
        version = written(plan.folder, data, done) if options.cell else None
        if version is None:
            before = store.latest(plan.folder)
            version = store.new_version(plan.folder, lambda new: assemble(new, data, done, broken, before))
    return RunResult(version, done.metrics, done.statuses, done.skipped, broken)


class _Walk:
    """The steps of a plan in order, each result from the cache or by running the step; the entries stay locked until the end.

    Args:
        known: steps whose results are in the cache already -> what is said of them; they are neither forced nor told about again.
    """

    def __init__(self, plan: Plan, known: Mapping[str, str], slots: Slots | Workers) -> None:
        self.done = Finished()
        self._plan, self._known, self._slots = plan, known, slots
        self._entries: list[Entry] = []

    def __enter__(self) -> _Walk:
        return self

    def __exit__(self, *_: object) -> None:
        for entry in self._entries:
            entry.release()

    def bring(self, step: str) -> None:
        """Bring one step's result into `done`."""
        plan, done = self._plan, self.done
        missing = [name for name in plan.needs[step] if name in done.skipped]
        if missing:
            return self._skip(step, f"it needs {missing[0]}, which was skipped")
        entry = plan.entry(step, without=done.skipped)
        self._entries.append(entry)
        compute = entry.claim(
            again=plan.is_forced(step) and step not in self._known,
            waiting=lambda: _say(plan, f"{step}: another run is busy with this result; waiting for it"),
        )
        if compute:
            try:
                if step not in self._known:
                    again = [name for name, status in done.statuses.items() if status == "run"]
                    _say(plan, f"{step}: running ({plan.reason(step, again, done.skipped)})")
                _run_step(plan, step, done, entry, self._slots)
            except StepSkipped as reason:
                return self._skip(step, str(reason))
            entry.share()
        record = entry.record()
        ran = compute or self._known.get(step) == "run"
        done.statuses[step] = "run" if ran else "cached"
        done.folders[step] = entry.artifacts
        done.sums[step] = record["artifacts"]
        done.metrics |= {name: Metric(**fields) for name, fields in record["metrics"].items()}
        done.log += record["log"] if ran else [_line(step, "taken from the cache")]
        about = {"fingerprint": entry.folder.name, "upstream": plan.upstream(step, done.skipped)}
        about |= {key: record[key] for key in ("wall_seconds", "cpu_seconds", "numerics")}
        about["metrics"] = sorted(record["metrics"])
        done.steps[step] = _about(plan, step, done.statuses[step]) | about
        if compute or step not in self._known:
            _say(plan, f"{step}: " + (f"done in {record['wall_seconds']:.1f} s" if compute else "cached"))

    def _skip(self, step: str, hint: str) -> None:
        done = self.done
        done.statuses[step], done.skipped[step] = "skipped", hint
        done.log.append(_line(step, f"skipped: {hint}"))
        nothing: dict[str, Any] = {"hint": hint, "fingerprint": None, "upstream": []}
        nothing |= {"wall_seconds": 0.0, "cpu_seconds": 0.0}
        done.steps[step] = _about(self._plan, step, "skipped") | nothing
        if step not in self._known:
            _say(self._plan, f"{step}: skipped: {hint}")


def _run_step(plan: Plan, step: str, done: Finished, entry: Entry, slots: Slots | Workers) -> None:
    if damage := entry.damage():
        done.log.append(_line(step, f"its cached result is damaged: {damage}; it is computed again"))
    artifacts = entry.begin(afresh=plan.is_forced(step))
    readable = plan.upstream(step, done.skipped)
    folders = {name: done.folders[name] for name in readable}
    mapper = Mapper(slots, plan.executor.threads, partial(_say, plan))
    quiet, pulse = plan.options.quiet, Pulse(step, plan.seconds(step))
    places = Folders(artifacts, entry.work, folders)
    ctx = Context(step, plan.spec, places, done.metrics, plan.executor.threads, mapper, pulse, quiet)
    wall, cpu = time.perf_counter(), _cpu_seconds()
    try:
        try:
            with nullcontext() if quiet else pulse:
                plan.objects[step].run(ctx)
        finally:
            mapper.close()  # whose processes count among the CPU seconds
    except StepSkipped:
        entry.discard(work=True)
        raise
    except MicoError as error:
        entry.discard()
        where = f"; log: {entry.work / 'log.jsonl'}" if ctx.lines else ""
        raise StepError(f"step {step!r}: {error}{where}") from error
    except ModuleNotFoundError as error:
        entry.discard()
        package = (error.name or str(error)).partition(".")[0]
        raise StepError(
            f"step {step!r} needs the Python package {package!r}; install it: pip install {package}"
        ) from error
    except KeyboardInterrupt:
        entry.discard()
        raise
    except Exception as error:
        entry.discard()
        trace = entry.work / "traceback.txt"
        durable.replace(trace, traceback.format_exc().encode())
        raise StepError(f"step {step!r} failed: {type(error).__name__}: {error}; traceback: {trace}") from error
    metrics = {name: metric.to_json() for name, metric in ctx.metrics.items()}
    seconds = {
        "wall_seconds": round(time.perf_counter() - wall, 3),
        "cpu_seconds": round(_cpu_seconds() - cpu, 3),
    }
    entry.finish({"step": step, "metrics": metrics, "log": ctx.lines, "numerics": environment.numerics(), **seconds})


def _about(plan: Plan, step: str, status: str) -> dict[str, Any]:
    inputs = json.loads(canonical(plan.inputs[step]))
    return {"status": status, "version": plan.objects[step].VERSION, "inputs": inputs}


def _cpu_seconds() -> float:
    """Of this process and the finished ones that it started."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _line(step: str, message: str) -> dict[str, Any]:
    return {"time": round(time.time(), 3), "step": step, "message": message}


def _say(plan: Plan, text: str) -> None:
    if not plan.options.quiet:
        print(text, file=sys.stderr)
