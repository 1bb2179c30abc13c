"""Which steps take part, in which order, and whether each runs or is in the cache, with the reason."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mico_runner.errors import UnknownName, UsageError
from mico_runner.frozen_data import build, plain
from mico_runner.outputs import store
from mico_runner.pipeline import Options
from mico_runner.pipeline.cache import Entry
from mico_runner.pipeline.fingerprint import difference, fingerprint
from mico_runner.pipeline.network_check import check_own_network
from mico_runner.registry import Registry
from mico_runner.sections import Executor, Sections
from mico_runner.sources import Sources
from mico_runner.steps import STEPS
from mico_runner.steps.base import Step
from mico_runner.steps.inputs import chosen

_OF_RECORD = {"status", "version", "inputs", "upstream", "fingerprint"}


@dataclass(frozen=True)
class PlanRow:
    """What would happen to a step.

    Attributes:
        action: "run", "cached", or "skip" for a step that `only` leaves out.
        seconds: what one that runs took the last time in this spec; None where it never ran.
    """

    step: str
    action: str
    reason: str
    seconds: float | None = None


class Plan:
    """The steps of one run and their places in the cache.

    Attributes:
        spec: the data as steps read it, in the dataclass `form`: that of the package, or one with the sections of other steps besides.
        listed: all steps of the spec, in order.
        steps: those that take part.
        inputs: what each step depends on besides other steps: what it says itself, and the source that it reaches, the versions of the
            libraries that this uses, and the number of torch's threads if it reads that.
        needs: the steps that each cannot do without.
        executor: where steps run: the spec's section, with the options' number of processes.
        folder: of the versions.

    A plan can be sent to another process.

    Raises UnknownName for steps that do not exist or an `only` / `from_` that is not in the spec; UsageError for a step that needs one
    which the spec leaves out, and for a network of the user's own that cannot be captured.
    """

    def __init__(
        self,
        data: Mapping[str, object],
        options: Options,
        registry: Registry = STEPS,
        form: type[Sections] = Sections,
        sources: Sources | None = None,
    ) -> None:
        said: dict[str, Any] = dict(data)
        if said["matrix"] is not None:
            raise UsageError(
                "matrix: this spec is a sweep: mico-run sweep SPEC; --set matrix=null for it as it is alone"
            )
        self.data, self.options = said, options
        self.spec = build(form, said)
        self.listed = sorted(said["steps"], key=lambda name: registry.info(name).meta["order"])
        for named in filter(None, (options.only, options.from_)):
            if named not in self.listed:
                raise UnknownName("step of this spec", named, self.listed)
        about = {step: registry.info(step).meta for step in self.listed}
        self.needs: dict[str, list[str]] = {step: list(meta.get("needs", [])) for step, meta in about.items()}
        self._reads = {step: [*self.needs[step], *meta.get("optional_needs", [])] for step, meta in about.items()}
        for step in self.listed:
            for need in self.needs[step]:
                if need not in self.listed:
                    raise UsageError(f"steps: {step!r} needs {need!r}, which is not among {', '.join(self.listed)}")
        self.steps = self.listed if options.only is None else self.closure(options.only)
        self.objects = {name: registry.get(name)() for name in self.steps}
        self.executor = Executor(**said["executor"] | ({"jobs": options.jobs} if options.jobs else {}))
        with nullcontext(sources) if sources else Sources() as sources:
            check_own_network(self.spec, sources, options.quiet)
            found = {name: self._surroundings(step, sources) for name, step in self.objects.items()}
        self.inputs = {name: plain(step.inputs(self.spec)) | found[name] for name, step in self.objects.items()}
        self._forced = self._forced_steps()

    def upstream(self, step: str, without: Iterable[str] = ()) -> list[str]:
        """The steps of this run that `step` reads from, those in `without` (skipped ones) left out."""
        return [name for name in self._reads[step] if name in self.steps and name not in without]

    def fingerprint(self, step: str, without: Iterable[str] = ()) -> str:
        prior = {name: self.fingerprint(name, without) for name in self.upstream(step, without)}
        return fingerprint(step, self.objects[step].VERSION, self.inputs[step], prior)

    def entry(self, step: str, without: Iterable[str] = ()) -> Entry:
        return Entry(self.options.outputs, step, self.fingerprint(step, without))

    @property
    def folder(self) -> Path:
        own: Path = self.options.outputs / self.data["name"]
        if self.options.cell:
            return own / store.CELLS / self.options.cell
        return own.with_name(f"{own.name}.{self.options.only}") if self.options.only else own

    def is_forced(self, step: str) -> bool:
        return step in self._forced

    def rows(self) -> list[PlanRow]:
        """What would happen to each step, and why."""
        running: set[str] = set()
        rows = []
        for step in self.listed:
            if step not in self.steps:
                rows.append(PlanRow(step, "skip", f"not needed for {self.options.only}"))
                continue
            reason = self.reason(step, running)
            if reason:
                running.add(step)
            if reason:
                rows.append(PlanRow(step, "run", reason, self.seconds(step)))
            else:
                rows.append(PlanRow(step, "cached", "same inputs as a finished run"))
        return rows

    def seconds(self, step: str) -> float | None:
        """What the step took in the newest version that has run it."""
        found = (records[step].get("wall_seconds") for records in self._history if step in records)
        return next((seconds for seconds in found if isinstance(seconds, float | int) and seconds > 0), None)

    def reason(self, step: str, running: Iterable[str] = (), without: Iterable[str] = ()) -> str:
        """Why the step runs, given those that run before it; "" when its result is in the cache."""
        if self.is_forced(step):
            return "forced" if self.options.force else f"forced from {self.options.from_}"
        entry = self.entry(step, without)
        if entry.finished:
            return ""
        if damage := entry.damage():
            return f"its cached result is damaged: {damage}"
        return self._change(step, running) + ("; an earlier attempt did not finish" if entry.interrupted else "")

    def _change(self, step: str, running: Iterable[str]) -> str:
        """What is different from the newest version that has the step."""
        before = self._before(step)
        if before is None:
            return "never ran"
        if before["status"] == "skipped":
            return f"was skipped: {before['hint']}"
        version = self.objects[step].VERSION
        if before["version"] != version:
            return f"VERSION {before['version']} -> {version}"
        changed = difference(before["inputs"], self.inputs[step])
        if changed:
            return changed
        again = [name for name in self.upstream(step) if name in running]
        if again:
            return f"upstream {', '.join(again)} runs"
        now, then = self.upstream(step), before["upstream"]
        if sorted(now) != sorted(then):
            return f"reads {', '.join(now) or 'no step'}; before: {', '.join(then) or 'no step'}"
        same = before["fingerprint"] == self.fingerprint(step)
        return "its cached result was deleted" if same else "other upstream results"

    def _before(self, step: str) -> dict[str, Any] | None:
        """The step's record in the newest version that has it."""
        return next((records[step] for records in self._history if step in records), None)

    @cached_property
    def _history(self) -> list[dict[str, Any]]:
        """The steps' records of every version, the newest first; of one whose manifest is damaged nothing, which is said."""
        found = []
        for version in reversed(
            store.versions(self.folder if self.options.cell else self.options.outputs / self.data["name"])
        ):
            try:
                records = store.manifest(version)["steps"]
                found.append({step: record for step, record in records.items() if record.keys() >= _OF_RECORD})
            except (UsageError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
                if not self.options.quiet and version.is_dir():  # else it was deleted meanwhile
                    print(
                        f"{version / 'manifest.json'} is damaged: this version is left out of account", file=sys.stderr
                    )
        return found

    def _surroundings(self, step: Step, sources: Sources) -> dict[str, Any]:
        """What the step's result depends on beyond the spec and the data."""
        try:
            file = Path(inspect.getfile(type(step)))
        except (OSError, TypeError):  # typed in, or part of an interpreter: there is no source to compare
            return {}
        reached = sources.reach([(file, type(step).__name__)], self._chosen)
        about: dict[str, Any] = {"sources": reached.sources, "libraries": reached.libraries}
        return about | ({"torch_threads": self.executor.threads} if reached.torch_threads else {})

    @cached_property
    def _chosen(self) -> dict[str, list[str]]:
        return chosen(self.spec)

    def closure(self, step: str) -> list[str]:
        """The step and all that it reads from, directly or not, in order."""
        found, todo = set(), [step]
        while todo:
            name = todo.pop()
            found.add(name)
            todo += [n for n in self._reads[name] if n in self.listed and n not in found]
        return [name for name in self.listed if name in found]

    def _forced_steps(self) -> set[str]:
        if self.options.force:
            return {self.options.only} if self.options.only else set(self.steps)
        forced = {step for step in self.steps if step == self.options.from_}
        for step in self.steps:
            if forced.intersection(self.upstream(step)):
                forced.add(step)
        return forced


def plan(
    data: Mapping[str, object], options: Options, registry: Registry = STEPS, form: type[Sections] = Sections
) -> list[PlanRow]:
    """What `run` would do with each step of the spec, and why. Raises as `Plan` does."""
    return Plan(data, options, registry, form).rows()
