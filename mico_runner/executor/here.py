"""One worker: this process."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from mico_runner.executor.base import Outcome, Workers


class Here(Workers):
    """Does the work in `wait`."""

    def __init__(self) -> None:
        self._work: tuple[Hashable, Callable[..., Any], tuple[Any, ...]] | None = None

    @property
    def free(self) -> bool:
        return self._work is None

    def submit(self, key: Hashable, function: Callable[..., Any], *arguments: Any) -> None:
        self._work = key, function, arguments

    def wait(self) -> Outcome | None:
        if self._work is None:
            return None
        key, function, arguments = self._work
        self._work = None
        try:
            return Outcome(key, function(*arguments))
        except Exception as error:
            return Outcome(key, error=error)

    def close(self) -> None:
        self._work = None
