"""Numbers in messages: rounded, yet never so far that a value beside its limit looks equal to it; sizes with their units."""

from __future__ import annotations

import re
from collections.abc import Callable

SIZE = r"([0-9]+(?:\.[0-9]+)?) ?(B|KiB|MiB)"
SIZE_TEXT = "a size such as 24KiB (B, KiB or MiB)"
_BYTES = {"B": 1, "KiB": 1024, "MiB": 1024**2}


def in_bytes(size: str | float | None) -> float | None:
    """A size with its unit as a number of bytes; what is no text stays as it is. Raises ValueError for any other text.

    >>> in_bytes("24KiB"), in_bytes("1.5 MiB"), in_bytes(0.7)
    (24576, 1572864, 0.7)
    """
    if not isinstance(size, str):
        return size
    match = re.fullmatch(SIZE, size)
    if not match:
        raise ValueError(f"{size!r} is not {SIZE_TEXT}")
    return round(float(match[1]) * _BYTES[match[2]])


def apart(value: float, other: float | None, rounded: Callable[[float], str]) -> str:
    """`rounded(value)`, or as many digits as it takes to read otherwise than `other` does when they differ.

    >>> apart(6_188_474.25, 6_188_474.0, "{:,.0f}".format)
    '6,188,474.2'
    """
    text = rounded(value)
    if other is None or value == other or text != rounded(other):
        return text
    for digits in range(1, 18):
        longer, beside = f"{value:,.{digits}g}", f"{other:,.{digits}g}"
        if longer != beside and "e" not in longer + beside:
            return longer
    return repr(value)
