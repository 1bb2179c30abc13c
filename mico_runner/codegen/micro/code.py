"""C, written line by line: a statement and why it stands there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

_INDENT = "    "
_MACROS = {"+=": "MICO_ADD", "*=": "MICO_MULTIPLY"}
FOUR = range(4)


class Code:
    """Lines of C so far, indented as blocks are opened. In a line, # stands for each of `over`."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._depth = 0

    def __call__(self, *lines: str, why: str = "", over: Sequence[object] | None = None) -> None:
        """Lines, all of the first for each of `over`, then of the next; `why` is the last one's comment."""
        if over is not None:
            lines = tuple(line.replace("#", str(each)) for line in lines for each in over)
        if why:
            lines = (*lines[:-1], f"{lines[-1]} /* {why} */" if lines[-1] else f"/* {why} */")
        self._lines += [f"{_INDENT * self._depth}{line}".rstrip() for line in lines]

    def ordered(self, *instructions: str, why: str = "", over: Sequence[object] | None = None) -> None:
        """Instructions `x = y`, `x += y` or `x *= y` that stay where they stand: compilers would undo the schedule (mico_order.h)."""
        self(*map(_ordered, instructions), why=why, over=over)

    def shifted(self, name: str, word: str, down: int) -> None:
        """A new word, moved down, or up where `down` is negative."""
        if down:
            self.ordered(f"uint32_t {name} = {word} {'<<' if down < 0 else '>>'} {abs(down)}")
        else:
            self(f"uint32_t {name} = {word};")

    @contextmanager
    def block(self, head: str = "", why: str = "", tail: str = "") -> Iterator[None]:
        """`head { ... } tail`."""
        self(f"{head} {{".lstrip(), why=why)
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

    def text(self) -> str:
        return "\n".join(self._lines) + "\n"


def _ordered(instruction: str) -> str:
    name, how, value = re.fullmatch(r"(.+?) ([+*]?=) (.+)", instruction).groups()  # type: ignore[union-attr]
    if how in _MACROS:
        return f"{_MACROS[how]}({name}, {value});"
    return f"{instruction}; MICO_ORDER({name.split()[-1]});"
