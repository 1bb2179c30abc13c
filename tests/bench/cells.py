"""What a sweep of many cells carries: plans, messages, bytes, files. Cells are trivial: all that is left is what the sweep itself takes.

    python tests/bench/cells.py [--cells 1000] [--backend processes]

docs/design/pipeline.md has the figures, and what follows of them for many more cells.
"""

from __future__ import annotations

import argparse
import os
import pickle
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabulate import tabulate

os.environ["MICO_DUMMY_REPORTS"] = ""  # a line each: the page of a version is not what is looked at
sys.path.insert(0, str(Path(__file__).parents[1] / "pipeline"))
os.environ["PYTHONPATH"] = os.pathsep.join([sys.path[0], os.environ.get("PYTHONPATH", "")])

import dummy_steps  # found there

from mico_runner.executor.dask_workers import DaskWorkers
from mico_runner.executor.processes import Processes
from mico_runner.pipeline import Options
from mico_runner.pipeline.sweeping import SweepPlan

STEPS = ["count", "square", "total"]


@dataclass(frozen=True)
class Cell:
    name: str
    values: dict[str, int]
    data: dict[str, Any]


def cpu() -> float:
    """Seconds of this process, which holds the scheduler of a local cluster."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--backend", choices=["processes", "dask"], default="dask")
    args = parser.parse_args()
    sent: list[int] = []
    for kind in (Processes, DaskWorkers):
        kind.submit = _counted(kind.submit, sent)  # type: ignore[method-assign]
    executor = {"backend": args.backend, "jobs": 2, "threads": 1, "address": None}
    with tempfile.TemporaryDirectory() as name:
        started = cpu()
        specs = [dummy_steps.spec(seed=n, steps=STEPS, executor=executor, numbers=1) for n in range(args.cells)]
        cells = [Cell(f"seed-{n}", {"seed": n}, data) for n, data in enumerate(specs)]
        options = Options(outputs=Path(name), quiet=True)
        plan = SweepPlan(specs[0], ["seed"], cells, options, dummy_steps.STEPS, dummy_steps.DummySections)
        planned, begun = cpu(), time.perf_counter()
        result = plan.run()
        assert not result.failed, result.failed
        wall, handed = time.perf_counter() - begun, cpu() - planned
        cells_files = [file for file in Path(name, "dummy", "cells").rglob("*") if file.is_file()]
        kept = [file for file in Path(name, ".cache").rglob("*") if file.is_file()]
        rows = [
            ["plans, CPU s", planned - started],
            ["messages to workers", len(sent)],
            ["bytes of each, on average", sum(sent) / len(sent)],
            ["client and scheduler, CPU s", handed],
            ["all, s on the clock", wall],
            ["files of versions", len(cells_files)],
            ["bytes of these", sum(file.stat().st_size for file in cells_files)],
            ["files of the cache", len(kept)],
            ["bytes of these", sum(file.stat().st_size for file in kept)],
        ]
    print(f"{args.cells} cells of {len(STEPS)} steps, {args.backend}\n")
    print(tabulate(rows, tablefmt="github", floatfmt=",.4g", intfmt=","))


def _counted(submit: Callable[..., None], sent: list[int]) -> Callable[..., None]:
    def counting(self: Any, key: Hashable, function: Callable[..., Any], *arguments: Any) -> None:
        sent.append(len(pickle.dumps(arguments)))
        submit(self, key, function, *arguments)

    return counting


if __name__ == "__main__":
    main()
