"""The loops of a C program with their pragmas, and what the pragmas make of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

KINDS = ("PIPE", "TILE", "PARA")
UNKNOWN_TRIP = 16  # iterations of a loop whose bounds are no constants
OFF, COARSE, FLATTEN, UNROLLED = range(
    4
)  # how a loop is pipelined; the last: its outer loop is, and it is no loop any more
_MODES = {"off": OFF, "": COARSE, "on": COARSE, "flatten": FLATTEN}
_TOKEN = re.compile(r"#pragma ACCEL ([^\n]*)|\bfor\s*\(([^;]*);([^;]*);[^)]*\)|([{}])")
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)


@dataclass(frozen=True)
class Loop:
    """A loop.

    Attributes:
        trip: its iterations.
        outer: index of the loop around it, -1 where there is none.
        pragmas: kind -> name of its value.
        innermost: no loop is in it.
    """

    trip: int
    outer: int
    pragmas: Mapping[str, str]
    innermost: bool


@dataclass(frozen=True)
class Made:
    """What a design makes of a loop: `mode` as above, `unroll` and `tile` in iterations."""

    mode: int
    unroll: float
    tile: float


def loops(source: str) -> tuple[Loop, ...]:
    """All loops of a program in their order."""
    found: list[tuple[int, int, dict[str, str]]] = []
    open_: list[tuple[int, int]] = []  # loop, depth of its braces
    pragmas: dict[str, str] = {}
    depth, waiting = 0, -1
    for text, start, condition, brace in (m.groups() for m in _TOKEN.finditer(_COMMENT.sub("", source))):
        if text is not None:
            pragmas |= {kind: name for name, kind in re.findall(r"auto\{(__(\w+?)__\w+)\}", text) if kind in KINDS}
        elif brace == "{":
            depth += 1
            if waiting >= 0:
                open_.append((waiting, depth))
                waiting = -1
        elif brace == "}":
            if open_ and open_[-1][1] == depth:
                open_.pop()
            depth -= 1
        else:
            found.append((_trip(start, condition), open_[-1][0] if open_ else -1, pragmas))
            pragmas, waiting = {}, len(found) - 1
    around = {outer for _, outer, _ in found}
    return tuple(Loop(trip, outer, its, i not in around) for i, (trip, outer, its) in enumerate(found))


def _trip(start: str, condition: str) -> int:
    first, last = re.search(r"=\s*(-?\d+)", start), re.search(r"[<>](=?)\s*(-?\d+)", condition)
    if first is None or last is None:
        return UNKNOWN_TRIP
    return max(1, abs(int(last[2]) - int(first[1])) + (last[1] == "="))


def made(found: Sequence[Loop], point: Mapping[str, Any]) -> tuple[Made, ...]:
    """What a design makes of each loop: in a loop that is flattened all others are unrolled, whatever their pragmas say."""
    result: list[Made] = []
    for loop in found:
        around = result[loop.outer] if loop.outer >= 0 else None
        if around is not None and around.mode in (FLATTEN, UNROLLED):
            result.append(Made(UNROLLED, float(loop.trip), 1.0))
            continue
        unroll, tile = (min(factor(point.get(loop.pragmas.get(kind, ""))), loop.trip) for kind in ("PARA", "TILE"))
        mode = _MODES.get(str(point.get(loop.pragmas.get("PIPE", ""), "off")), OFF)
        result.append(Made(mode, unroll, tile))
    return tuple(result)


def factor(value: Any) -> float:
    """A pragma's number; 1 for what is none."""
    try:
        return max(1.0, float(value))
    except (TypeError, ValueError):
        return 1.0
