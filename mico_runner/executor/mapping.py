"""`map` of a running step: one function of many arguments, on as many processes as its run has left over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from mico_runner.executor import memory
from mico_runner.executor.base import Say, Workers
from mico_runner.executor.processes import Processes
from mico_runner.executor.slots import Slots
from mico_runner.outputs.locks import FileLock

WORTH_S = 2.0  # seconds of work in this process before others are started, which takes about as long
_MIB = 1 << 20


class Mapper:
    """Calls functions here until others are worth starting and free.

    Args:
        slots: of the run; this process holds one of them. Or workers that wait for it.
        threads: of torch in each process.
        say: as for `Processes`.
    """

    def __init__(self, slots: Slots | Workers, threads: int, say: Say) -> None:
        self._slots, self._threads, self._say = slots, threads, say
        self._spent = 0.0
        self._held: list[FileLock] = []
        self._workers: Workers | None = None

    def __call__(self, function: Callable[[Any], Any], items: Iterable[Any], here: bool = False) -> Iterator[Any]:
        """function(item) of each item, in order, on this machine alone if `here`. Raises what the first item raises that fails."""
        todo = list(items)
        alone = here and isinstance(self._slots, Workers)  # which may be anywhere
        for i, item in enumerate(todo):
            if len(todo) - i > 1 and self._spent >= WORTH_S and not alone and self._enough():
                yield from self._spread(function, todo[i:])
                return
            started = time.perf_counter()
            value = function(item)
            self._spent += time.perf_counter() - started
            yield value

    def close(self) -> None:
        """End the other processes; their slots are free again."""
        if self._workers is not None:
            self._workers.close()
            self._workers = None
        for slot in self._held:
            slot.release()
        self._held.clear()

    def _enough(self) -> bool:
        """Whether there are other processes, started now if there is room for them."""
        if self._workers is None and isinstance(self._slots, Workers):
            self._workers = self._slots
        if self._workers is not None:
            return True
        assert isinstance(self._slots, Slots), "workers were found above"
        while slot := self._slots.take():
            self._held.append(slot)
        if not self._held:
            return False
        wanted = 1 + len(self._held)  # this process only waits meanwhile
        need, room = memory.own_peak(), memory.available()
        fits = memory.fitting(need, room)
        if fits is not None and fits < wanted:
            self._say(f"{fits} of {wanted} processes: one takes {need // _MIB} MiB, {(room or 0) // _MIB} MiB are free")
            wanted = fits
        if wanted < 2:
            self.close()
            self._spent = float("-inf")  # not asked again
            return False
        self._workers = Processes(wanted, self._threads, self._say, measured=True)
        return True

    def _spread(self, function: Callable[[Any], Any], items: list[Any]) -> Iterator[Any]:
        workers = self._workers
        assert workers is not None, "there are other processes"
        values: dict[int, Any] = {}
        given = told = 0
        try:
            while told < len(items):
                while given < len(items) and workers.free:
                    workers.submit(given, function, items[given])
                    given += 1
                outcome = workers.wait()
                if outcome is None:
                    continue
                if outcome.error is not None:
                    raise outcome.error
                values[int(str(outcome.key))] = outcome.value
                while told in values:
                    yield values.pop(told)
                    told += 1
        finally:
            if told < len(items):  # what is still going on belongs to nobody
                self.close()
