"""From a resolved spec to a finished version: which steps run and why, the cache, resuming, locks.

plan(spec_data, Options()) -> [PlanRow]     what a run would do, and the reason; imports no torch
run(spec_data, Options()) -> RunResult      does it
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mico_runner.pipeline.planning import PlanRow
    from mico_runner.pipeline.running import RunResult


@dataclass(frozen=True)
class Options:
    """How to run, as the command line says it.

    Attributes:
        outputs: root of all versions and the cache.
        only: run this step and what it needs, nothing after it.
        from_: run this step and all that depend on it again, cached or not.
        force: run every step again.
        jobs: processes that work at once; None: what the spec's `executor` says.
        cell: of a sweep: its versions have a place of their own.
        quiet: neither messages nor progress bars. Without a terminal there are no bars anyway.
    """

    outputs: Path = Path("outputs")
    only: str | None = None
    from_: str | None = None
    force: bool = False
    jobs: int | None = None
    cell: str | None = None
    quiet: bool = False


def plan(data: Mapping[str, object], options: Options | None = None) -> list[PlanRow]:
    """See `mico_runner.pipeline.planning.plan`."""
    from mico_runner.pipeline import planning

    return planning.plan(data, options or Options())


def run(data: Mapping[str, object], options: Options | None = None) -> RunResult:
    """See `mico_runner.pipeline.running.run`."""
    from mico_runner.pipeline import running

    return running.run(data, options or Options())
