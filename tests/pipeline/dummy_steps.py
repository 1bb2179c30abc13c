"""Five small steps that need nothing: `count` -> `square` -> `total`, `sometimes` (skipped on demand), `after` (needs it).

As a program it runs them: dummy_steps.py OUTPUTS NAME [KEY=JSON ...], which a test can kill.
"""

import json
import os
import sys
import time
from dataclasses import dataclass, fields
from pathlib import Path

from mico_runner import durable, outputs
from mico_runner.errors import StepError, StepSkipped
from mico_runner.pipeline import Options, running
from mico_runner.registry import Entry, Registry
from mico_runner.sections import Sections
from mico_runner.steps.base import Step

SHORT_REPORTS = "MICO_DUMMY_REPORTS"  # of a line each, which spares importing matplotlib


@dataclass(frozen=True)
class DummySections(Sections):
    """The keys of a spec, and those of these steps."""

    numbers: int
    power: int
    seconds: float
    fail: bool
    tool: bool


class DummyRegistry(Registry):
    """A registry of the objects it is given."""

    def __init__(self):
        super().__init__("step", "tests")
        self.given = {}

    @property
    def entries(self):
        return self.given

    def register(self, name, **meta):
        self.given[name] = Entry(name, __name__, "", meta)
        return super().register(name, **meta)


STEPS = DummyRegistry()
if SHORT_REPORTS in os.environ:  # here and in worker processes
    outputs.write_report = lambda version, path=None: (version / "report.html").write_text("report")


@STEPS.register("count", order=1)
class Count(Step):
    VERSION = 1

    def inputs(self, spec):
        return {"numbers": spec.numbers, "seed": spec.seed}

    def run(self, ctx):
        journal = ctx.work / "journal.jsonl"  # as a long step does: continue where an earlier run was killed
        lines, dropped = durable.read_lines(journal)
        if dropped:
            ctx.log(f"{journal.name}: {dropped}")
        known = {line["number"]: line["value"] for line in lines}
        for number in range(ctx.spec.numbers):
            if number not in known:
                time.sleep(ctx.spec.seconds)
                known[number] = number + ctx.seed
                durable.append_lines(journal, [{"number": number, "value": known[number]}])
        done = [known[number] for number in range(ctx.spec.numbers)]
        ctx.log("counted", resumed=bool(lines))
        (ctx.dir / "numbers.json").write_text(json.dumps(done))
        ctx.metric("count.numbers", len(done), "count", "higher")


@STEPS.register("square", needs=["count"], order=2)
class Square(Step):
    VERSION = 1

    def inputs(self, spec):
        return {"power": spec.power}

    def run(self, ctx):
        numbers = json.loads((ctx.upstream("count") / "numbers.json").read_text())
        for number in numbers:
            time.sleep(ctx.spec.seconds)
            (ctx.dir / f"{number}.txt").write_text(str(number**ctx.spec.power))
        if ctx.spec.fail:
            raise StepError("told to fail")


@STEPS.register("sometimes", order=3)
class Sometimes(Step):
    def inputs(self, spec):
        return {}

    def run(self, ctx):
        if not ctx.spec.tool:
            raise StepSkipped("the tool is missing; apt-get install tool")
        ctx.metric("sometimes.value", 1, "count")


@STEPS.register("after", needs=["sometimes"], order=4)
class After(Step):
    def inputs(self, spec):
        return {}

    def run(self, ctx):
        ctx.metric("after.value", ctx.upstream_metric("sometimes.value") + 1, "count")


@STEPS.register("total", needs=["count", "square"], optional_needs=["sometimes"], order=5)
class Total(Step):
    VERSION = 1

    def inputs(self, spec):
        return {}

    def run(self, ctx):
        started = time.perf_counter()
        total = sum(int(file.read_text()) for file in ctx.upstream("square").iterdir())
        ctx.metric("total.value", total, "points", "higher", tolerance="1%")
        ctx.metric("total.seconds", time.perf_counter() - started, "s", "lower", volatile=True)
        ctx.metric("total.with_tool", int(ctx.has("sometimes")), "count")


def spec(**changes):
    """A resolved spec of these steps."""
    base = dict.fromkeys(field.name for field in fields(Sections)) | {
        "spec_version": 1,
        "name": "dummy",
        "description": "",
        "seed": 3,
        "numbers": 4,
        "power": 2,
        "seconds": 0.0,
        "fail": False,
    }
    base |= {"tool": True, "gates": {}, "steps": list(STEPS.entries), "matrix": None}
    base |= {"executor": {"backend": "processes", "jobs": 1, "threads": 1, "address": None}}
    pixels = {"scale": 1.0, "mean": [0.0], "std": [1.0]}
    base |= {"plugins": [], "datasets": {"task": None, **pixels, "profile": [], "validation": 1, "test": None}}
    return base | changes


def run(outputs, options=None, **changes):
    """Run the dummy steps quietly."""
    return running.run(
        spec(**changes), Options(outputs=Path(outputs), quiet=True, **(options or {})), STEPS, DummySections
    )


if __name__ == "__main__":
    pairs = [pair.split("=", 1) for pair in sys.argv[3:]]
    run(sys.argv[1], name=sys.argv[2], **{key: json.loads(value) for key, value in pairs})
