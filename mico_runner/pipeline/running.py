"""Runs the steps of a spec and writes the version."""

from __future__ import annotations

import json
import resource
import sys
import time
import traceback
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mico_runner import durable
from mico_runner.errors import MicoError, StepError, StepSkipped
from mico_runner.outputs import environment, store
from mico_runner.pipeline import Options
from mico_runner.pipeline.assembly import Finished, assemble
from mico_runner.pipeline.cache import Entry, sweep
from mico_runner.pipeline.context import Context
from mico_runner.pipeline.fingerprint import canonical
from mico_runner.pipeline.gates import BrokenGate, broken_gates, matches
from mico_runner.pipeline.planning import Plan
from mico_runner.pipeline.pulse import Pulse
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
    data: dict[str, Any], options: Options, registry: Registry = STEPS, form: type[Sections] = Sections
) -> RunResult:
    """Run the spec's steps, those in the cache excepted, and write a version.

    With `only`, gates on metrics that the left-out steps would write are not checked, and the version is one of `<name>.<step>`:
    it would else pass for the newest of the whole spec.

    Raises:
        StepError: a step failed; no version is written, finished steps stay in the cache.
        UnknownName, UsageError: as `Plan` and `store.check` do, before any step runs.
    """
    plan = Plan(data, options, registry, form)
    folder = options.outputs / (f"{data['name']}.{options.only}" if options.only else data["name"])
    store.check(folder, [plan.entry(step).folder.parent for step in plan.steps])
    sweep(options.outputs)
    done = Finished()
    entries: list[Entry] = []
    try:
        for step in plan.steps:
            _do(plan, step, done, entries)
        if options.only:
            data = {**data, "gates": {gate: b for gate, b in data["gates"].items() if matches(gate, done.metrics)}}
        data = {**data, "steps": plan.steps}
        broken = broken_gates(data["gates"], done.metrics)
        version = store.new_version(folder, lambda new: assemble(new, data, done, broken, store.latest(folder)))
    finally:
        for entry in entries:
            entry.release()
    return RunResult(version, done.metrics, done.statuses, done.skipped, broken)


def _do(plan: Plan, step: str, done: Finished, entries: list[Entry]) -> None:
    """Bring one step's result into `done`, from the cache or by running it; its entry stays locked, in `entries`."""
    missing = [name for name in plan.registry.info(step).meta.get("needs", []) if name in done.skipped]
    if missing:
        return _skip(plan, step, done, f"it needs {missing[0]}, which was skipped")
    entry = plan.entry(step, without=done.skipped)
    entries.append(entry)
    compute = entry.claim(
        again=plan.is_forced(step),
        waiting=lambda: _say(plan, f"{step}: another run is busy with this result; waiting for it"),
    )
    if compute:
        try:
            _run_step(plan, step, done, entry)
        except StepSkipped as reason:
            return _skip(plan, step, done, str(reason))
        entry.share()
    record = entry.record()
    done.statuses[step] = "run" if compute else "cached"
    done.folders[step] = entry.artifacts
    done.sums[step] = record["artifacts"]
    done.metrics |= {name: Metric(**fields) for name, fields in record["metrics"].items()}
    done.log += record["log"] if compute else [_line(step, "taken from the cache")]
    about = {"fingerprint": entry.folder.name, "upstream": plan.upstream(step, done.skipped)}
    about |= {key: record[key] for key in ("wall_seconds", "cpu_seconds", "numerics")}
    about["metrics"] = sorted(record["metrics"])
    done.steps[step] = _about(plan, step, done.statuses[step]) | about
    _say(plan, f"{step}: " + (f"done in {record['wall_seconds']:.1f} s" if compute else "cached"))


def _run_step(plan: Plan, step: str, done: Finished, entry: Entry) -> None:
    again = [name for name, status in done.statuses.items() if status == "run"]
    reason = plan.reason(step, again, done.skipped)
    if damage := entry.damage():
        done.log.append(_line(step, f"its cached result is damaged: {damage}; it is computed again"))
    artifacts = entry.begin(afresh=plan.is_forced(step))
    _say(plan, f"{step}: running ({reason})")
    readable = plan.upstream(step, done.skipped)
    folders = {name: done.folders[name] for name in readable}
    quiet, pulse = plan.options.quiet, Pulse(step, plan.seconds(step))
    ctx = Context(step, plan.spec, artifacts, entry.work, folders, done.metrics, plan.jobs, quiet, pulse)
    wall, cpu = time.perf_counter(), _cpu_seconds()
    try:
        with nullcontext() if quiet else pulse:
            plan.objects[step].run(ctx)
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


def _skip(plan: Plan, step: str, done: Finished, hint: str) -> None:
    done.statuses[step], done.skipped[step] = "skipped", hint
    done.log.append(_line(step, f"skipped: {hint}"))
    nothing: dict[str, Any] = {"hint": hint, "fingerprint": None, "upstream": []}
    nothing |= {"wall_seconds": 0.0, "cpu_seconds": 0.0}
    done.steps[step] = _about(plan, step, "skipped") | nothing
    _say(plan, f"{step}: skipped: {hint}")


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
