"""The arena: every tensor and scratch buffer gets an offset so that no two that live at the same time overlap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

ALIGNMENT = 4  # bytes: a word of the smallest target, so that kernels may load words
_ATTEMPTS = 50


class Request(NamedTuple):
    """A buffer: `bytes` of memory from the call `first` to the call `last`, both included."""

    name: str
    bytes: int
    first: int
    last: int


class Placement(NamedTuple):
    """Where a buffer lies in the arena, and for which calls."""

    tensor: str
    offset: int
    bytes: int
    first_node: int
    last_node: int


def plan(requests: Sequence[Request]) -> list[Placement]:
    """Offsets for all requests, in the order given.

    Greedy by size with best fit (Pisarchyk and Lee 2020, "Efficient Memory Management for Deep Neural Net Inference"): the
    largest buffer first, each into the smallest gap between the buffers that live at the same time. While the arena is
    larger than the lower bound, the buffer that sticks out farthest is placed first, and the best plan of all is kept.
    """
    order = sorted(requests, key=lambda r: (-r.bytes, r.first, r.name))
    bound, best, size = lower_bound(requests), {}, None
    for _ in range(_ATTEMPTS):
        placed = _place(order)
        if size is None or arena_bytes(placed.values()) < size:
            best, size = placed, arena_bytes(placed.values())
        if size == bound:
            break
        highest = max(placed.values(), key=lambda p: p.offset + p.bytes).tensor
        order.sort(key=lambda r: r.name != highest)
    return [best[r.name] for r in requests]


def arena_bytes(placements: Iterable[Placement]) -> int:
    """Size of the arena."""
    return max((_aligned(p.offset + p.bytes) for p in placements), default=0)


def lower_bound(requests: Sequence[Request]) -> int:
    """Largest sum of live bytes over time: no arena can be smaller."""
    times = {r.first for r in requests}
    return max((sum(_aligned(r.bytes) for r in requests if r.first <= t <= r.last) for t in times), default=0)


def _place(order: Sequence[Request]) -> dict[str, Placement]:
    placed: dict[str, Placement] = {}
    for request in order:
        alive = [p for p in placed.values() if p.first_node <= request.last and request.first <= p.last_node]
        offset = _best_fit(request.bytes, sorted(alive, key=lambda p: p.offset))
        placed[request.name] = Placement(request.name, offset, request.bytes, request.first, request.last)
    return placed


def _best_fit(size: int, alive: Sequence[Placement]) -> int:
    """Offset of the smallest gap between `alive` (sorted by offset) that holds `size`; else behind the last."""
    end, best, best_gap = 0, None, None
    for p in alive:
        gap = p.offset - end
        if gap >= size and (best_gap is None or gap < best_gap):
            best, best_gap = end, gap
        end = max(end, _aligned(p.offset + p.bytes))
    return end if best is None else best


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
