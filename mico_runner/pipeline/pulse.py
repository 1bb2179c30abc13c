"""A sign of life of a long step: a line every so often, on a terminal without a bar and in the log of a CI."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from types import TracebackType
from typing import Any

EVERY = 30.0  # seconds between two lines


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class Pulse:
    """Says, until the block ends, how long the step has run and how long it may take.

    Args:
        last: seconds that the step took the last time; None: unknown.
    """

    def __init__(
        self,
        step: str,
        last: float | None,
        every: float = EVERY,
        clock: Callable[[], float] = time.monotonic,
        say: Callable[[str], None] = _say,
    ) -> None:
        self.step, self.last, self.every = step, last, every
        self._clock, self._say, self._began = clock, say, clock()
        self._doing, self._since, self._done = "", self._began, 0
        self._total: int | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"pulse of {step}", daemon=True)

    def __enter__(self) -> Pulse:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def watch(self, iterable: Iterable[Any], total: int | None, doing: str) -> Iterator[Any]:
        """The iterable; the lines say how much of it is done."""
        if total is None and isinstance(iterable, Sized):
            total = len(iterable)
        self._doing, self._since, self._done, self._total = doing, self._clock(), 0, total
        for done, item in enumerate(iterable, 1):
            yield item
            self._done = done
        self._doing = ""

    def line(self) -> str:
        """What there is to say now."""
        now = self._clock()
        parts = [f"  {self.step}: running for {now - self._began:.0f} s"]
        if self._doing:
            parts.append(f"{self._doing}: {self._done}" + (f" of {self._total}" if self._total else ""))
        if self._doing and self._done and self._total:
            left = (now - self._since) / self._done * (self._total - self._done)
            parts.append(f"about {left:.0f} s left of it")
        elif self.last is not None:
            parts.append(f"the last time it took {self.last:.0f} s")
        return "; ".join(parts)

    def _beat(self) -> None:
        while not self._over.wait(self.every):
            self._say(self.line())
