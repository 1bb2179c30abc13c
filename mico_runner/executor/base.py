"""The contract of whatever runs functions: this process, others of this machine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

Say = Callable[[str], object]  # takes a line about workers that died or do not fit into memory


@dataclass(frozen=True)
class Outcome:
    """How a piece of work ended: with a value, or with the exception that it raised."""

    key: Hashable
    value: Any = None
    error: Exception | None = None


class Workers(ABC):
    """Runs functions.

    Order of calls: `submit` while `free`, `wait` for outcomes, and so on; `close`, or leaving the `with` block, ends what is still going
    on. Functions must be importable by name, or objects with `__call__` of such classes; they and their arguments are copied.
    """

    @property
    @abstractmethod
    def free(self) -> bool:
        """Whether there is somebody to take another piece of work now."""

    @abstractmethod
    def submit(self, key: Hashable, function: Callable[..., Any], *arguments: Any) -> None:
        """Begin a piece of work; call it only while `free`."""

    @abstractmethod
    def wait(self) -> Outcome | None:
        """The next outcome; None when none has come within a moment, after which `free` may have changed."""

    @abstractmethod
    def close(self) -> None:
        """End all work, finished or not."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
