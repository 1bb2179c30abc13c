"""Runs the steps of a spec and writes the version."""

from __future__ import annotations

import fnmatch
import json
import resource
import shutil
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from filelock import Timeout

from mico_runner.errors import MicoError, StepError, StepSkipped
from mico_runner.outputs import environment, store
from mico_runner.outputs.files import write_text
from mico_runner.pipeline import Options
from mico_runner.pipeline.cache import Entry
from mico_runner.pipeline.context import Context
from mico_runner.pipeline.fingerprint import canonical
from mico_runner.pipeline.planning import Plan
from mico_runner.registry import Registry
from mico_runner.steps import STEPS
from mico_runner.steps.base import Metric


@dataclass(frozen=True)
class RunResult:
    """A finished run.

    Attributes:
        version: its folder.
        statuses: step -> "run", "cached" or "skipped".
        skipped: step -> what is missing and how to install it.
        broken_gates: one line per gate that does not hold.
    """

    version: Path
    metrics: dict[str, Metric]
    statuses: dict[str, str]
    skipped: dict[str, str]
    broken_gates: list[str]


@dataclass
class _State:
    """What has happened so far in a run."""

    metrics: dict[str, Metric] = field(default_factory=dict)
    folders: dict[str, Path] = field(default_factory=dict)  # artifacts of the steps that are done
    statuses: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)  # for the manifest
    log: list[dict[str, Any]] = field(default_factory=list)


def run(data: dict[str, Any], options: Options, registry: Registry = STEPS) -> RunResult:
    """Run the spec's steps, those in the cache excepted, and write a version.

    Raises:
        StepError: a step failed; no version is written, finished steps stay in the cache.
        UnknownName: `only` or `from_` names no step of this spec.
    """
    plan = Plan(data, options, registry)
    state = _State()
    for step in plan.steps:
        _do(plan, step, state)
    broken = broken_gates(data["gates"], state.metrics)
    with store.new_version(options.outputs / data["name"]) as folder:
        _assemble(folder, plan, state, broken, previous=store.latest(options.outputs / data["name"]))
    version = store.latest(options.outputs / data["name"])
    return RunResult(version, state.metrics, state.statuses, state.skipped, broken)


def broken_gates(gates: dict[str, dict[str, float]], metrics: dict[str, Metric]) -> list[str]:
    """One line per metric outside its gate, and per gate that no metric matches. Names may hold `*`."""
    lines = []
    for pattern, bounds in gates.items():
        names = fnmatch.filter(metrics, pattern)
        if not names:
            lines.append(f"{pattern}: no such metric in this run")
        for name in names:
            metric = metrics[name]
            for bound, broken in (
                ("max", metric.value > bounds.get("max", metric.value)),
                ("min", metric.value < bounds.get("min", metric.value)),
            ):
                if broken:
                    lines.append(f"{name} = {metric.value:g} {metric.unit}; {bound} {bounds[bound]:g}")
    return lines


def _do(plan: Plan, step: str, state: _State) -> None:
    """Bring one step's result into `state`, from the cache or by running it."""
    missing = [name for name in plan.registry.info(step).meta.get("needs", []) if name in state.skipped]
    if missing:
        return _skip(plan, step, state, f"{missing[0]} was skipped")
    entry = plan.entry(step, without=state.skipped)
    with _locked(entry, plan.options.quiet, step):
        status = "cached"
        if plan.is_forced(step) or not entry.finished:
            try:
                _run_step(plan, step, state, entry)
            except StepSkipped as reason:
                return _skip(plan, step, state, str(reason))
            status = "run"
        record = entry.record()
    state.statuses[step] = status
    state.folders[step] = entry.folder / "artifacts"
    state.metrics |= {name: Metric(**fields) for name, fields in record["metrics"].items()}
    state.log += record["log"] if status == "run" else [_line(step, "taken from the cache")]
    state.steps[step] = {
        "status": status,
        "fingerprint": entry.folder.name,
        "version": plan.objects[step].VERSION,
        "inputs": json.loads(canonical(plan.inputs[step])),
        "upstream": plan.upstream(step, state.skipped),
        "wall_seconds": record["wall_seconds"],
        "cpu_seconds": record["cpu_seconds"],
    }
    _say(
        plan.options.quiet,
        f"{step}: " + ("cached" if status == "cached" else f"done in {record['wall_seconds']:.1f} s"),
    )


def _run_step(plan: Plan, step: str, state: _State, entry: Entry) -> None:
    artifacts = entry.begin()
    _say(plan.options.quiet, f"{step}: running")
    readable = plan.upstream(step, state.skipped)
    ctx = Context(
        step,
        plan.data,
        artifacts,
        entry.work,
        state.folders,
        state.metrics,
        readable,
        plan.options.jobs,
        plan.options.quiet,
    )
    wall, cpu = time.perf_counter(), _cpu_seconds()
    try:
        plan.objects[step].run(ctx)
    except StepSkipped:
        raise
    except MicoError as error:
        error.args = (f"step {step!r}: {error} (log: {entry.work / 'log.jsonl'})",)
        raise
    except Exception as error:
        trace = entry.work / "traceback.txt"
        trace.write_text(traceback.format_exc(), encoding="utf-8")
        raise StepError(f"step {step!r} failed: {type(error).__name__}: {error} (traceback: {trace})") from error
    entry.finish(
        {
            "step": step,
            "metrics": {name: metric.to_json() for name, metric in ctx.metrics.items()},
            "wall_seconds": round(time.perf_counter() - wall, 3),
            "cpu_seconds": round(_cpu_seconds() - cpu, 3),
            "log": ctx.lines,
        }
    )


def _skip(plan: Plan, step: str, state: _State, hint: str) -> None:
    state.statuses[step], state.skipped[step] = "skipped", hint
    state.log.append(_line(step, f"skipped: {hint}"))
    inputs = json.loads(canonical(plan.inputs[step]))
    state.steps[step] = {
        "status": "skipped",
        "hint": hint,
        "fingerprint": None,
        "version": plan.objects[step].VERSION,
        "inputs": inputs,
        "upstream": [],
        "wall_seconds": 0.0,
        "cpu_seconds": 0.0,
    }
    _say(plan.options.quiet, f"{step}: skipped: {hint}")


def _assemble(folder: Path, plan: Plan, state: _State, broken: list[str], previous: Path | None) -> None:
    for step, artifacts in state.folders.items():
        shutil.copytree(artifacts, folder / "steps" / step)
    resolved = {**plan.data, "steps": plan.steps}
    write_text(folder / "spec.resolved.yaml", yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True))
    store.write_metrics(folder, state.metrics)
    write_text(folder / "log.jsonl", "".join(json.dumps(line) + "\n" for line in state.log))
    manifest = {
        "name": plan.data["name"],
        "seed": plan.data["seed"],
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "environment": environment.describe(),
        "steps": state.steps,
        "broken_gates": broken,
    }
    write_text(folder / "manifest.json", json.dumps(manifest, indent=1))
    _report(folder, previous)
    manifest["artifacts"] = store.artifact_hashes(folder)
    write_text(folder / "manifest.json", json.dumps(manifest, indent=1))


def _report(folder: Path, previous: Path | None) -> None:
    """report.html; the previous version's when it would show the same, which spares importing matplotlib."""
    from mico_runner import outputs

    if previous and (previous / "report.html").is_file() and _shown(previous) == _shown(folder):
        shutil.copyfile(previous / "report.html", folder / "report.html")
    else:
        outputs.write_report(folder)


def _shown(version: Path) -> dict[str, Any]:
    """What the report depends on besides the artifacts that the fingerprints stand for."""
    return {
        key: value for key, value in store.manifest(version).items() if key not in ("created", "artifacts", "steps")
    } | {
        step: (about["fingerprint"], about["wall_seconds"]) for step, about in store.manifest(version)["steps"].items()
    }


class _locked:
    """The entry's lock; says so when another run holds it."""

    def __init__(self, entry: Entry, quiet: bool, step: str) -> None:
        self._lock, self._quiet, self._step = entry.lock(), quiet, step

    def __enter__(self) -> None:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            _say(self._quiet, f"{self._step}: another run is computing this; waiting for it")
            self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _cpu_seconds() -> float:
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _line(step: str, message: str) -> dict[str, Any]:
    return {"time": round(time.time(), 3), "step": step, "message": message}


def _say(quiet: bool, text: str) -> None:
    if not quiet:
        print(text, file=sys.stderr)
