"""The workers that a spec's `executor` section asks for."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mico_runner.executor.base import Say, Workers
from mico_runner.executor.here import Here
from mico_runner.executor.processes import Processes
from mico_runner.executor.slots import ALONE, Slots


@contextmanager
def open_workers(jobs: int, threads: int, say: Say) -> Iterator[tuple[Workers, Slots]]:
    """Workers, and the slots that steps which they run may take what is left of; with one job, this process.

    Args:
        jobs: processes that work at once.
        threads: of torch in each.
    """
    if jobs == 1:
        yield Here(), ALONE
        return
    with tempfile.TemporaryDirectory(prefix="mico-slots-") as folder:
        slots = Slots(Path(folder), jobs)
        with Processes(jobs, threads, say, slots) as workers:
            yield workers, slots
