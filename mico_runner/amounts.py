"""Numbers in messages: rounded, yet never so far that a value beside its limit looks equal to it."""

from __future__ import annotations

from collections.abc import Callable


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
