"""Which steps take part, in which order, and whether each runs or is in the cache, with the reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mico_runner.errors import UnknownName
from mico_runner.outputs import store
from mico_runner.pipeline import Options
from mico_runner.pipeline.cache import Entry
from mico_runner.pipeline.fingerprint import difference, fingerprint
from mico_runner.registry import Registry
from mico_runner.steps import STEPS


@dataclass(frozen=True)
class PlanRow:
    step: str
    action: str  # "run" or "cached"
    reason: str


class Plan:
    """The steps of one run and their places in the cache.

    Attributes:
        steps: names in order.
        inputs: what each step depends on besides other steps.
    """

    def __init__(self, data: dict[str, Any], options: Options, registry: Registry = STEPS) -> None:
        self.data, self.options, self.registry = data, options, registry
        listed = sorted(data["steps"], key=lambda name: registry.info(name).meta["order"])
        for chosen in filter(None, (options.only, options.from_)):
            if chosen not in listed:
                raise UnknownName("step of this spec", chosen, listed)
        self.steps = [s for s in listed if options.only is None or s in self._closure(options.only, listed)]
        self.objects = {name: registry.get(name)() for name in self.steps}
        self.inputs = {name: step.inputs(data) for name, step in self.objects.items()}
        self._forced = self._forced_steps()

    def upstream(self, step: str, without: Iterable[str] = ()) -> list[str]:
        """The steps of this run that `step` reads from, those in `without` (skipped ones) left out."""
        meta = self.registry.info(step).meta
        wanted = [*meta.get("needs", []), *meta.get("optional_needs", [])]
        return [name for name in wanted if name in self.steps and name not in without]

    def fingerprint(self, step: str, without: Iterable[str] = ()) -> str:
        prior = {name: self.fingerprint(name, without) for name in self.upstream(step, without)}
        return fingerprint(step, self.objects[step].VERSION, self.inputs[step], prior)

    def entry(self, step: str, without: Iterable[str] = ()) -> Entry:
        return Entry(self.options.outputs, step, self.fingerprint(step, without))

    def is_forced(self, step: str) -> bool:
        return step in self._forced

    def rows(self) -> list[PlanRow]:
        """What would happen to each step, and why."""
        latest = store.latest(self.options.outputs / self.data["name"])
        before = store.manifest(latest)["steps"] if latest else {}
        running: set[str] = set()
        rows = []
        for step in self.steps:
            reason = self._reason(step, before.get(step), running)
            if reason:
                running.add(step)
            rows.append(PlanRow(step, "run" if reason else "cached", reason or "same inputs as a finished run"))
        return rows

    def _reason(self, step: str, before: dict[str, Any] | None, running: set[str]) -> str:
        """Why the step runs; "" when its result is in the cache."""
        if self.is_forced(step):
            return "forced" if self.options.force else f"forced from {self.options.from_}"
        if self.entry(step).finished:
            return ""
        if before is None:
            return "never ran"
        version = self.objects[step].VERSION
        if before["version"] != version:
            return f"step version {before['version']} -> {version}"
        changed = difference(before["inputs"], self.inputs[step])
        if changed:
            return changed
        again = [name for name in self.upstream(step) if name in running]
        if again:
            return f"after {', '.join(again)}"
        return (
            "its cached result is gone"
            if set(self.upstream(step)) == set(before["upstream"])
            else "other steps before it"
        )

    def _closure(self, step: str, listed: list[str]) -> set[str]:
        found, todo = set(), [step]
        while todo:
            name = todo.pop()
            found.add(name)
            meta = self.registry.info(name).meta
            needs = [*meta.get("needs", []), *meta.get("optional_needs", [])]
            todo += [n for n in needs if n in listed and n not in found]
        return found

    def _forced_steps(self) -> set[str]:
        if self.options.force:
            return {self.options.only} if self.options.only else set(self.steps)
        forced = {self.options.from_} if self.options.from_ in self.steps else set()
        for step in self.steps:
            if forced.intersection(self.upstream(step)):
                forced.add(step)
        return forced


def plan(data: dict[str, Any], options: Options) -> list[PlanRow]:
    """What `run` would do with each step of the spec, and why. Raises UnknownName for `only` / `from_` steps not in it."""
    return Plan(data, options).rows()
