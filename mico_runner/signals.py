"""SIGTERM and SIGHUP end a command as Ctrl-C does: by KeyboardInterrupt, so that everything is cleaned up on the way out."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ONE_REQUEST_S = (
    1.0  # `timeout` and shells signal a process and then its group: the second must not disturb the cleaning up
)
_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Whether there has been one: a library may have turned its KeyboardInterrupt into another exception."""

    seen = False


@contextmanager
def as_interrupts() -> Iterator[Interrupts]:
    """SIGINT, SIGTERM and SIGHUP raise KeyboardInterrupt in the main thread; one that is ignored (`nohup`), or that the program which
    calls us handles itself, stays as it is. Outside the main thread nothing changes."""
    interrupts = Interrupts()
    last = -_ONE_REQUEST_S

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _ONE_REQUEST_S:
            last = now
            interrupts.seen = True
            raise KeyboardInterrupt

    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.getsignal(number) for number in _NUMBERS}
        before = {
            n: handler for n, handler in before.items() if handler in (signal.SIG_DFL, signal.default_int_handler)
        }
    try:
        for number in before:
            signal.signal(number, interrupt)
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
