"""The contract between the pipeline and a step.

A step is a class registered in `mico_runner/steps/<name>.py`. Its section of the spec has rules in `mico_runner/spec/schema/` and, with
the same keys, a frozen dataclass in `mico_runner/sections/`:

    @register("double", section="double", order=30)
    class Double(Step):
        VERSION = 1

        def inputs(self, spec):
            return {"double": spec.double, "file": catalog.sha256(Path(spec.double.file))}

        def run(self, ctx):
            number = 2 * float(Path(ctx.spec.double.file).read_text())
            (ctx.dir / "number.txt").write_text(str(number))
            ctx.metric("double.number", number, "count")

Order of calls: the pipeline sorts the steps of the spec by `order` and asks each for `inputs`. It adds what it can find out by itself: the
source that the class reaches (`mico_runner.sources`), the versions of the libraries which that uses, the number of torch's threads if it
reads `ctx.torch_threads`, the step's VERSION, and the fingerprints of those steps in `needs` that take part in this run. The hash of the
lot is the step's fingerprint. If a finished result with that fingerprint is in the cache, whole, it is reused; else `run` is called with an
empty `ctx.dir`, which becomes the cached result when `run` returns. `ctx.work` survives an interruption: a long step journals there and
continues from it, with `mico_runner.durable`, so that what was damaged meanwhile is dropped. With several jobs, steps that do not read from
one another run at the same time, each in a process of its own, and so may the work that a step gives to `ctx.map`.

So `inputs` gives the parts of the spec that `run` reads, and the content of files and the machine where these matter; neither code nor
what earlier steps wrote. VERSION is for what no source shows: raise it when a tool that the step starts, or the form in which another
part reads its artifacts, has changed.

Decorator keywords: `needs` - steps whose artifacts it reads; `optional_needs` - the same, when they take part; `section` - the
spec section whose presence implies the step (None: only when listed in `steps`); `order` - position in the run.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from reprlib import repr as short
from typing import Any, Protocol, TypeGuard

from mico_runner.sections import Sections

Inputs = dict[str, object]  # by name: sections of the spec, and JSON-able data
DIRECTIONS = ("lower", "higher", "info")
_PERCENT = re.compile(r"([0-9]+(?:\.[0-9]*)?)\s*%")


@dataclass(frozen=True)
class Metric:
    """One number of a run.

    Attributes:
        value: a finite float or int, within the range of a float.
        unit: "%", "cycles", "bytes", "points", "count", ...
        direction: which way is better: "lower", "higher", or "info" (never a regression).
        tolerance: how much worse it may get before `diff` calls it a regression; relative ("1%") or absolute (0.2).
        volatile: a measured time or the like, excepted from the promise of bit-for-bit repeatability and from `diff`'s verdict.

    Raises ValueError for anything else: no comparison holds for NaN, so that it would pass every gate.
    """

    value: float
    unit: str
    direction: str = "info"
    tolerance: float | str = 0.0
    volatile: bool = False

    def __post_init__(self) -> None:
        if not _is_finite(self.value):
            raise ValueError(f"value {short(self.value)} is not a finite number")
        if not isinstance(self.unit, str):
            raise ValueError(f"unit {short(self.unit)}; allowed: text")
        if self.direction not in DIRECTIONS:
            raise ValueError(f"direction {short(self.direction)}; allowed: {', '.join(DIRECTIONS)}")
        share = _PERCENT.fullmatch(self.tolerance) if isinstance(self.tolerance, str) else None
        amount = float(share[1]) if share else self.tolerance
        if not _is_finite(amount) or amount < 0:
            raise ValueError(f"tolerance {short(self.tolerance)}; allowed: a number from 0, or a percentage like '1%'")
        if not isinstance(self.volatile, bool):
            raise ValueError(f"volatile {short(self.volatile)}; allowed: true, false")

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def _is_finite(value: object) -> TypeGuard[float]:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number beyond the range of a float
        return False


class Progress(Protocol):
    """What `ctx.progress(iterable, total=..., desc=...)` returns: the iterable, with a bar on a terminal."""

    def __call__(self, iterable: Iterable[Any], *, total: int | None = None, desc: str = "") -> Iterable[Any]: ...


class Map(Protocol):
    """What `ctx.map(function, items)` returns: function(item) of each, in order.

    Other processes help when the run has some to spare and the work takes longer than starting them. So the function is one that can be
    imported by its name, or an object of a class that can; it and the items are copied; it must depend on nothing else, write only what
    belongs to its item, and neither log nor record metrics. `here`: it reads files of this machine, so that no other machine helps.
    """

    def __call__(self, function: Callable[[Any], Any], items: Iterable[Any], here: bool = False) -> Iterator[Any]: ...


class StepContext(Protocol):
    """What a running step sees of the run (implemented by the pipeline)."""

    spec: Sections  # the resolved spec, defaults filled in
    seed: int
    dir: Path  # empty folder for this step's artifacts
    work: Path  # survives an interruption; deleted when the step finishes
    torch_threads: int  # to read it makes it an input
    progress: Progress
    map: Map

    def upstream(self, step: str) -> Path:
        """Folder with the artifacts of an earlier step of this run (one named in `needs`)."""

    def has(self, step: str) -> bool:
        """Whether that step takes part in this run and was not skipped."""

    def upstream_metric(self, name: str) -> float:
        """Value of a metric that an earlier step of this run wrote."""

    def metric(
        self,
        name: str,
        value: float,
        unit: str,
        direction: str = "info",
        tolerance: float | str = 0.0,
        volatile: bool = False,
    ) -> None:
        """Record a metric under its full dotted name: "proxy.conv2d.mape", "simulate.latency_error"."""

    def log(self, message: str, **fields: Any) -> None:
        """One line in log.jsonl, and on the terminal unless quiet."""


class Step(ABC):
    """Base class of all steps."""

    VERSION = 1

    @abstractmethod
    def inputs(self, spec: Sections) -> Inputs:
        """Everything the result depends on besides upstream steps: sections of the spec, sha256 of files read, other JSON-able data."""

    @abstractmethod
    def run(self, ctx: StepContext) -> None:
        """Do the work. Raises StepError, or StepSkipped when a tool is missing."""
