"""What a worker process does: takes functions and arguments from a socket, sends back what they return, until the other end closes.

It imports nothing heavy by itself, and learns what to import from what it is sent.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from mico_runner import plugins
from mico_runner.errors import GateError, StepError, StepSkipped, UsageError
from mico_runner.signals import as_interrupts

INTERRUPTED = 130


@dataclass(frozen=True)
class Setup:
    """Where the one that hands out work finds modules, and the plug-ins that it uses."""

    path: tuple[str, ...]
    plugged: tuple[Path, ...]


@dataclass(frozen=True)
class Task:
    """A pickled function, None for the last one again, and its pickled arguments."""

    function: bytes | None
    arguments: bytes


@dataclass(frozen=True)
class Reply:
    """What a function returned, or raised."""

    value: Any = None
    error: Exception | None = None


def main(descriptor: int) -> int:
    """Serve at a socket; returns the exit code."""
    for number in (signal.SIGINT, signal.SIGHUP):  # of the terminal, to all at once: who handed out the work ends it
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    connection = Connection(descriptor)
    threading.Thread(target=_end_with, args=(descriptor,), daemon=True).start()
    try:
        with as_interrupts():
            _serve(connection)
    except KeyboardInterrupt:
        return INTERRUPTED
    except (EOFError, OSError):  # nobody waits for results any more
        return 0
    return 0


def _serve(connection: Connection) -> None:
    setup: Setup = connection.recv()
    sys.path[:] = setup.path
    plugins.use(setup.plugged)
    plugins.announce()
    function: Any = None
    while True:
        task: Task = pickle.loads(connection.recv_bytes())

        def work(task: Task = task) -> Any:
            nonlocal function
            if task.function is not None:
                function = pickle.loads(task.function)
            return function(*pickle.loads(task.arguments))

        connection.send_bytes(reply(work))


def reply(work: Callable[[], Any]) -> bytes:
    """The pickled `Reply` of what `work` returns or raises."""
    try:
        return pickle.dumps(Reply(work()))
    except Exception as error:
        error.add_note(f"in a worker process:\n{traceback.format_exc()}")
        return pickle.dumps(Reply(error=_portable(error)))


def _portable(error: Exception) -> Exception:
    """An exception that can be read at the other end: itself, or one of the same meaning with its message."""
    try:
        return pickle.loads(pickle.dumps(error))  # type: ignore[no-any-return]
    except Exception:
        kinds = (UsageError, GateError, StepSkipped, StepError)
        kind = next((kind for kind in kinds if isinstance(error, kind)), RuntimeError)
        return kind(str(error) if kind is not RuntimeError else f"{type(error).__name__}: {error}")


def _end_with(descriptor: int) -> None:
    """End this process, whatever it is at, when the one at the other end is gone."""
    poll = select.poll()
    poll.register(descriptor, 0)
    poll.poll()  # returns on a hang-up alone
    os._exit(INTERRUPTED)
