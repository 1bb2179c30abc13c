"""Workers of a dask cluster (extra `dask`): one of this machine, or whatever an address leads to.

The cluster is asked before anything is handed out: a worker that runs other code than this process, has other threads, or runs several
functions at once in one process would give other numbers, or none.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import queue
import sys
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from mico_runner import paths, plugins
from mico_runner.errors import StepError, UsageError
from mico_runner.executor import serving
from mico_runner.executor.base import Outcome, Workers
from mico_runner.executor.serving import Reply, Setup

if TYPE_CHECKING:
    from distributed import Client, Future

PAUSE_S = 0.2  # how long `wait` waits
CONNECT_S = 20.0  # for a scheduler that is there
LOOPBACK = "127.0.0.1"
_GONE = "run again: what is finished is kept"


class DaskWorkers(Workers):
    """See `Workers`; dask begins the work of a worker that dies again, three times.

    `close` drops what is going on; the cluster stays, and takes further work.

    Args:
        client: of a cluster whose workers `check` has found in order.
        count: pieces of work at once.
    """

    def __init__(self, client: Client, count: int) -> None:
        self._client, self._count = client, count
        self._going: dict[Hashable, Future] = {}
        self._ended: queue.SimpleQueue[Hashable] = queue.SimpleQueue()
        self._setup = Setup(tuple(sys.path), plugins.used())

    @property
    def free(self) -> bool:
        return len(self._going) < self._count

    def submit(self, key: Hashable, function: Callable[..., Any], *arguments: Any) -> None:
        work = (self._setup, pickle.dumps(function), pickle.dumps(arguments))
        future = self._client.submit(answer, *work, pure=False)
        self._going[key] = future
        future.add_done_callback(lambda _: self._ended.put(key))

    def wait(self) -> Outcome | None:
        """As `Workers.wait`. Raises StepError when the scheduler is gone."""
        if not self._going:
            return None
        try:
            key = self._ended.get(timeout=PAUSE_S)
        except queue.Empty:
            if self._client.status != "running":
                raise self._gone() from None
            return None
        future = self._going.pop(key, None)
        return None if future is None else self._outcome(key, future)

    def _outcome(self, key: Hashable, future: Future) -> Outcome:
        from distributed import KilledWorker

        if future.status in ("cancelled", "lost"):
            raise self._gone()
        error = future.exception()
        if isinstance(error, KilledWorker):
            return Outcome(key, error=StepError("its worker died, again and again; is there enough memory?"))
        if error is not None:
            raise StepError(f"dask: {type(error).__name__}: {error}; {_GONE}") from error
        reply: Reply = pickle.loads(future.result())
        return Outcome(key, reply.value, reply.error)

    def _gone(self) -> StepError:
        return StepError(f"the scheduler of the dask cluster is gone; {_GONE}")

    def close(self) -> None:
        going = list(self._going.values())
        self._going.clear()
        if going and self._client.status == "running":
            self._client.cancel(going, force=True)


@contextmanager
def cluster(address: str | None, jobs: int, threads: int) -> Iterator[DaskWorkers]:
    """Workers at an address, or `jobs` processes of this machine that only it can reach.

    Args:
        threads: of torch in each.

    Raises:
        UsageError: dask is not installed, nobody answers, or a worker cannot do the work as this process would.
    """
    try:
        import dask
        from distributed import Client, LocalCluster
    except ModuleNotFoundError as error:
        raise UsageError(
            f"executor.backend: dask needs the Python package {error.name!r}; install it: pip install 'mico-runner[dask]'"
        ) from error
    if address is not None:
        with _client(lambda: Client(address, timeout=CONNECT_S, set_as_default=False), address) as client:
            yield DaskWorkers(client, check(client, threads))
        return
    own = {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": str(threads)}
    spawned = {"distributed.nanny.pre-spawn-environ": own, "distributed.worker.daemon": False}
    with (
        dask.config.set(spawned),
        LocalCluster(
            n_workers=jobs,
            threads_per_worker=1,
            host=LOOPBACK,
            dashboard_address=f"{LOOPBACK}:0",
            worker_dashboard_address=f"{LOOPBACK}:0",
            silence_logs=50,
        ) as local,
        _client(lambda: Client(local, set_as_default=False), "the local cluster") as client,
    ):
        client.wait_for_workers(jobs)
        yield DaskWorkers(client, check(client, threads))


@contextmanager
def _client(connect: Callable[[], Client], name: str) -> Iterator[Client]:
    try:
        client = connect()
    except (OSError, ValueError) as error:
        raise UsageError(f"executor.address: no dask scheduler answers at {name}: {error}") from error
    try:
        yield client
    finally:
        client.close(timeout=2)


def check(client: Client, threads: int) -> int:
    """How many pieces of work the workers do at once. Raises UsageError for what would make other numbers."""
    workers = client.scheduler_info(n_workers=-1)["workers"]
    if not workers:
        raise UsageError("executor.address: the dask cluster has no workers")
    wanted = about()
    for name, found in client.run(about).items():
        if workers[name]["nthreads"] != 1:
            raise UsageError(
                f"dask worker {name}: found {workers[name]['nthreads']} threads; allowed: 1 (dask worker --nthreads 1)"
            )
        if found["code"] != wanted["code"]:
            raise UsageError(f"dask worker {name}: its mico_runner is other code than here; install the same on both")
        if found["threads"] != str(threads):
            raise UsageError(
                f"dask worker {name}: found OMP_NUM_THREADS={found['threads']}; allowed: {threads}, as executor.threads says"
            )
    return len(workers)


def about() -> dict[str, str | None]:
    """What decides the numbers of a process."""
    return {"code": _code(), "threads": os.environ.get("OMP_NUM_THREADS")}


@cache
def _code() -> str:
    """Hash of the package's Python files."""
    digest = hashlib.sha256()
    for path in sorted(paths.PACKAGE.rglob("*.py")):
        digest.update(str(path.relative_to(paths.PACKAGE)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def answer(setup: Setup, function: bytes, arguments: bytes) -> bytes:
    """What a worker does with a piece of work; the pickled `Reply`."""
    _prepare(setup)
    return serving.reply(lambda: pickle.loads(function)(*pickle.loads(arguments)))


@cache
def _prepare(setup: Setup) -> None:
    """Once for each that hands out work: its modules are found behind the worker's own."""
    sys.path.extend(place for place in setup.path if place not in sys.path)
    plugins.use(setup.plugged)
    plugins.announce()
