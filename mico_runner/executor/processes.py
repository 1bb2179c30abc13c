"""Workers that are processes of this machine, each a fresh interpreter with its own threads (`serving`)."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe
from multiprocessing.connection import wait as wait_for
from typing import Any

from mico_runner import paths, plugins, processes
from mico_runner.errors import StepError
from mico_runner.executor import memory
from mico_runner.executor.base import Outcome, Say, Workers
from mico_runner.executor.serving import Reply, Setup, Task
from mico_runner.executor.slots import ALONE, Slots
from mico_runner.outputs.locks import FileLock

ATTEMPTS = 3  # of a piece of work whose process dies
SETTLED_S = 5.0  # after which a process that is still at its first piece of work shows how much memory one needs
PAUSE_S = 0.2  # how long `wait` waits
GRACE_S = 10.0  # for cleaning up, before a process is killed
_MIB = 1 << 20
_SERVE = "import sys; from mico_runner.executor import serving; sys.exit(serving.main(int(sys.argv[1])))"


@dataclass
class _Work:
    key: Hashable
    function: Callable[..., Any]
    task: Task
    slot: FileLock | None
    attempts: int = 0


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    connection: Connection
    started: float
    work: _Work | None = None
    knows: object = None  # the function that it was sent last
    served: bool = field(default=False)


class Processes(Workers):
    """See `Workers`.

    Args:
        count: processes at most. Fewer work where the memory that the largest has needed does not fit so often: the first shows it.
        threads: of torch in each.
        say: takes a line when a process died, or fewer work than were asked for.
        slots: what each that works holds one of; without them only `count` limits.
        measured: it is known that so many fit.
    """

    def __init__(self, count: int, threads: int, say: Say, slots: Slots = ALONE, measured: bool = False) -> None:
        self._count, self._threads, self._say, self._slots, self._measured = count, threads, say, slots, measured
        self._workers: list[_Worker] = []
        self._again: list[_Work] = []  # whose process died
        self._pickled: tuple[object, bytes] = (None, b"")
        self._largest = 0
        self._told = False

    @property
    def free(self) -> bool:
        if self._again or not (self._idle() or self._may_start()):
            return False
        if not self._slots.count:
            return True
        slot = self._slots.take()
        if slot is not None:
            slot.release()
        return slot is not None

    def submit(self, key: Hashable, function: Callable[..., Any], *arguments: Any) -> None:
        slot = self._slots.take() if self._slots.count else None
        self._begin(_Work(key, function, Task(None, pickle.dumps(arguments)), slot))

    def wait(self) -> Outcome | None:
        while self._again and (self._idle() or self._may_start()):
            self._begin(self._again.pop(0))
        busy = {worker.connection: worker for worker in self._workers if worker.work}
        if not busy:
            time.sleep(0 if not self._again else PAUSE_S)
            return None
        for ready in wait_for(list(busy), PAUSE_S):
            worker = busy[ready]  # type: ignore[index]  # `wait` is typed for all that it takes
            try:
                reply: Reply = pickle.loads(worker.connection.recv_bytes())
            except (EOFError, OSError):
                outcome = self._lost(worker)
            else:
                outcome = self._ended(worker, reply)
            if outcome:
                return outcome
        return None

    def close(self) -> None:
        for worker in self._workers:
            worker.process.terminate() if worker.work else worker.connection.close()  # whose end is that of an idle one
        until = time.monotonic() + GRACE_S
        for worker in self._workers:
            try:
                worker.process.wait(max(until - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
            worker.connection.close()
            _release(worker.work)
        self._workers.clear()
        for work in self._again:
            _release(work)
        self._again.clear()

    def _idle(self) -> _Worker | None:
        return next((worker for worker in self._workers if not worker.work), None)

    def _may_start(self) -> bool:
        """Whether there may be one more: the first shows how much memory one needs."""
        if len(self._workers) >= self._count:
            return False
        if not self._workers or self._measured:
            return True
        first = self._workers[0]
        if not first.served and time.monotonic() - first.started < SETTLED_S:
            return False
        peaks = [memory.peak(worker.process.pid) or 0 for worker in self._workers]
        self._largest = max(self._largest, *peaks)
        fits = memory.fitting(self._largest, room := memory.available())
        if fits is None or fits >= 1:
            return True
        if not self._told:
            self._told = True
            need, have = self._largest // _MIB, (room or 0) // _MIB
            self._say(
                f"{len(self._workers)} of {self._count} processes work: one takes {need} MiB, {have} MiB are free"
            )
        return False

    def _begin(self, work: _Work) -> None:
        worker = self._idle()
        if worker is None:
            worker = self._start()
            self._workers.append(worker)
        work.attempts += 1
        function = None if worker.knows is work.function else self._function(work.function)
        worker.work, worker.knows = work, work.function
        try:
            worker.connection.send_bytes(pickle.dumps(Task(function, work.task.arguments)))
        except OSError:  # it is dead: `wait` finds it so
            return

    def _function(self, function: Callable[..., Any]) -> bytes:
        """It may be large, and is the same for many pieces of work."""
        if self._pickled[0] is not function:
            self._pickled = (function, pickle.dumps(function))
        return self._pickled[1]

    def _start(self) -> _Worker:
        ours, theirs = Pipe()
        try:
            process = processes.start_python(_SERVE, theirs.fileno(), _environment(self._threads))
        finally:
            theirs.close()
        ours.send(Setup(tuple(sys.path), plugins.used()))
        return _Worker(process, ours, time.monotonic())

    def _ended(self, worker: _Worker, reply: Reply) -> Outcome:
        work, worker.work, worker.served = worker.work, None, True
        assert work is not None, "only workers with work are waited for"
        _release(work)
        return Outcome(work.key, reply.value, reply.error)

    def _lost(self, worker: _Worker) -> Outcome | None:
        """A process that died: another one takes up its work, a few times."""
        work = worker.work
        assert work is not None, "only workers with work are waited for"
        self._workers.remove(worker)
        worker.connection.close()
        end = _how(worker.process.wait())
        if work.attempts < ATTEMPTS:
            self._say(f"a worker process {end}; another one begins its work again")
            self._again.append(work)
            return None
        _release(work)
        return Outcome(work.key, error=StepError(f"its process {end}, {ATTEMPTS} times; is there enough memory?"))


def _release(work: _Work | None) -> None:
    if work is not None and work.slot is not None:
        work.slot.release()


def _how(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _environment(threads: int) -> dict[str, str]:
    """Threads have to be known before the libraries are imported that have them."""
    before = os.environ
    path = os.pathsep.join([str(paths.PACKAGE.parent), *filter(None, [before.get("PYTHONPATH")])])
    own = {"PYTHONPATH": path, "OMP_NUM_THREADS": str(threads)}
    return {"OPENBLAS_NUM_THREADS": "1", **before, **own}
