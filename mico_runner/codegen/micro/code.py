"""C, written line by line: a statement and why it stands there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_INDENT = "    "


class Code:
    """Lines of C so far, indented as blocks are opened."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._depth = 0

    def __call__(self, text: str, why: str = "") -> None:
        """One line; `why` is its comment."""
        self._lines.append(f"{_INDENT * self._depth}{text}{f' /* {why} */' if why else ''}".rstrip())

    def note(self, text: str) -> None:
        """A line of comment."""
        self(f"/* {text} */")

    @contextmanager
    def block(self, head: str = "", why: str = "", tail: str = "") -> Iterator[None]:
        """`head { ... } tail`."""
        self(f"{head} {{".lstrip(), why)
        self._depth += 1
        yield
        self._depth -= 1
        self("};" if tail == ";" else f"}} {tail}".rstrip())

    @contextmanager
    def function(self, head: str) -> Iterator[None]:
        """A function, after an empty line."""
        self._lines += ["", head, "{"]
        self._depth += 1
        yield
        self._depth -= 1
        self("}")

    def set(self, name: str, value: str, why: str = "") -> None:
        """An instruction that stays where it stands: compilers would undo the schedule (mico_order.h)."""
        variable = name.split()[-1]
        self(f"{name} = {value}; MICO_ORDER({variable});", why)

    def let(self, name: str, value: str, why: str = "") -> None:
        """The same, of a new word."""
        self.set(f"uint32_t {name}", value, why)

    def add(self, total: str, value: str, why: str = "") -> None:
        """An addition that stays where it stands."""
        self(f"MICO_ADD({total}, {value});", why)

    def text(self) -> str:
        return "\n".join(self._lines) + "\n"
