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
from mico_runner.sections import Executor

DASK = "dask"


@contextmanager
def open_workers(wanted: Executor, say: Say) -> Iterator[tuple[Workers, Slots]]:
    """Workers, and the slots that steps which they run may take what is left of; with one process, this one.

    Raises UsageError for a cluster that is not there or not in order.
    """
    jobs, threads = wanted.jobs, wanted.threads
    if wanted.backend == DASK:
        from mico_runner.executor.dask_workers import cluster

        with cluster(wanted.address, jobs, threads) as workers:
            yield workers, ALONE
        return
    if jobs == 1:
        yield Here(), ALONE
        return
    with tempfile.TemporaryDirectory(prefix="mico-slots-") as folder:
        slots = Slots(Path(folder), jobs)
        with Processes(jobs, threads, say, slots) as workers:
            yield workers, slots
