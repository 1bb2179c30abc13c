"""What a running step sees of the run: the `StepContext` of `steps.base`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mico_runner import durable
from mico_runner.errors import StepError
from mico_runner.pipeline.pulse import Pulse
from mico_runner.sections import Sections
from mico_runner.steps.base import Map, Metric


@dataclass(frozen=True)
class Folders:
    """Where a step writes and reads.

    Attributes:
        work: survives an interruption.
        upstream: the steps of this run that this one declared it reads from -> folder of their artifacts.
    """

    artifacts: Path
    work: Path
    upstream: dict[str, Path]


class Context:
    """See `mico_runner.steps.base.StepContext`.

    Args:
        metrics: all that earlier steps of this run wrote.
        pulse: what says how far the step is where there is no terminal; None: nobody does.
    """

    def __init__(
        self,
        step: str,
        spec: Sections,
        folders: Folders,
        metrics: dict[str, Metric],
        torch_threads: int,
        map_: Map,
        pulse: Pulse | None = None,
        quiet: bool = False,
    ) -> None:
        self.step, self.spec, self.seed = step, spec, spec.seed
        self.dir, self.work, self.torch_threads, self.map = folders.artifacts, folders.work, torch_threads, map_
        self.metrics: dict[str, Metric] = {}
        self.lines: list[dict[str, object]] = []
        self._folders, self._before, self._quiet = folders.upstream, metrics, quiet
        self._pulse = pulse

    def upstream(self, step: str) -> Path:
        if step not in self._folders:
            raise StepError(f"reads {step!r}, which is not in its needs or takes no part in this run")
        return self._folders[step]

    def has(self, step: str) -> bool:
        return step in self._folders

    def upstream_metric(self, name: str) -> float:
        if name not in self._before:
            raise StepError(f"reads metric {name!r}, which no earlier step wrote")
        return self._before[name].value

    def metric(
        self,
        name: str,
        value: float,
        unit: str,
        direction: str = "info",
        tolerance: float | str = 0.0,
        volatile: bool = False,
    ) -> None:
        value = value.item() if hasattr(value, "item") else value
        if name in self._before or name in self.metrics:
            raise StepError(f"metric {name!r} is written twice")
        try:
            self.metrics[name] = Metric(value, unit, direction, tolerance, volatile)
        except ValueError as error:
            raise StepError(f"metric {name!r}: {error}") from None

    def log(self, message: str, **fields: Any) -> None:
        line = {"time": round(time.time(), 3), "step": self.step, "message": message, **fields}
        self.lines.append(line)
        path = self.work / "log.jsonl"
        if path.is_dir():  # damage that an earlier attempt left
            durable.remove(path)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if not self._quiet:
            from tqdm import tqdm

            tqdm.write(f"  {self.step}: {message}", file=sys.stderr)  # above a bar, if there is one

    def progress(self, iterable: Iterable[Any], *, total: int | None = None, desc: str = "") -> Iterable[Any]:
        about = f"  {self.step}: {desc}"
        if self._quiet:
            return iterable
        if not sys.stderr.isatty():
            return self._pulse.watch(iterable, total, desc) if self._pulse else iterable
        from tqdm import tqdm

        bar: Iterable[Any] = tqdm(iterable, total=total, desc=about, leave=False, file=sys.stderr)
        return bar
