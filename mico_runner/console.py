"""What commands print: tables, JSON, complaints, on streams of any encoding."""

from __future__ import annotations

import codecs
import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

# Of what our own texts hold beyond ASCII; the rest becomes an escape such as \u00e9.
_PLAIN = {
    "±": "+-",
    "×": "x",
    "…": "...",
    "–": "-",
    "—": "-",
    "−": "-",
    "→": "->",
    "≤": "<=",
    "≥": ">=",
    "µ": "u",
    "²": "^2",
    **dict(zip("▁▂▃▄▅▆▇█", "_.-~=+*#", strict=True)),
}


def prepare() -> None:
    """A character that the standard output's encoding lacks is replaced instead of ending the command, as on the error stream."""
    codecs.register_error("mico-plain", _plain)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="mico-plain")


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_PLAIN.get(c) or c.encode("ascii", "backslashreplace").decode() for c in lacking), error.end


def out(text: str = "", stream: TextIO | None = None) -> None:
    """A line on the standard output; when its reader, such as `head`, has left, the command goes on: its exit code still counts."""
    try:
        print(text, file=stream)
    except BrokenPipeError:
        hang_up()


def print_json(value: Any) -> None:
    """JSON, every number of it finite; what the stream's encoding lacks is escaped."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=1, allow_nan=False)
    out(text)


@contextlib.contextmanager
def json_alone() -> Iterator[None]:
    """Whatever libraries write on the standard output, in Python or in C, goes to the error stream instead."""
    sys.stdout.flush()
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)


def print_table(rows: Sequence[Mapping[str, object]], stream: TextIO | None = None) -> None:
    from tabulate import tabulate

    out(tabulate(rows, headers="keys", tablefmt="plain", disable_numparse=True), stream)


def complain(message: str) -> None:
    """On the error stream, if there is still one: after SIGHUP the terminal is gone."""
    with contextlib.suppress(OSError, ValueError):
        print(f"mico-run: {message}" if "\n" not in message else message, file=sys.stderr, flush=True)


def flush() -> None:
    """Raises OSError when what was printed cannot be written, but for a reader that has left."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        hang_up()


def hang_up() -> None:
    """What can no longer be written goes nowhere, so that Python's own flush at the end does not fail."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
