"""Fused loop nests on an array behind one buffer: products of matrices in a chain whose result in between never leaves the chip.

A nest is walked tile by tile. Each step loads its operands' tiles, multiplies them, and may store a finished result. Loading, computing
and storing work side by side, held up by one another's buffers: every operand has two, so that its next tile loads while one is in use.
A step in time is what the tiles need of each, so that the cycles come from the steps alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

_BUFFERS = 2  # of each operand: one is used, one is being filled


@dataclass(frozen=True)
class Step:
    """A step of a nest.

    Attributes:
        loads: words of each operand's tile; an operand that is not named is on the chip.
        products: multiplications.
        stores: words of the result that is finished with this step, 0 where none is.
        opens: whether a new result is begun.
    """

    loads: Mapping[str, int]
    products: int
    stores: int = 0
    opens: bool = False


@dataclass(frozen=True)
class Engine:
    """An array behind one memory port for loads and one for stores.

    Attributes:
        products_per_cycle: of the array.
        words_per_cycle: of each port.
        request_cycles: what each load and each store takes beside its words.
        start_cycles: what each step of computing takes beside its products: filling and draining the array.
    """

    products_per_cycle: int
    words_per_cycle: float
    request_cycles: int
    start_cycles: int


def cycles(steps: Sequence[Step], engine: Engine) -> float:
    """Cycles from the first request until the last store, or the last product, is done.

    Of the operands that have a buffer free the one that can load first does, of equals the one that is used first. A step computes
    when its operands are there and the one before it is done. The array adds the sums of a result up in place: after the first step of a
    result, the next one waits until the result before it is stored.
    """
    queue: dict[str, list[int]] = {}  # the steps that need the operand
    for number, step in enumerate(steps):
        for operand in step.loads:
            queue.setdefault(operand, []).append(number)
    loaded = dict.fromkeys(queue, 0)
    waiting, ready = [len(step.loads) for step in steps], [0.0] * len(steps)
    done: list[float] = []  # when each step has computed
    loading = storing = 0.0
    since = 0  # steps since the result was begun
    while True:
        while len(done) < len(steps) and not waiting[len(done)]:
            number = len(done)
            step = steps[number]
            since = 0 if step.opens else since + 1
            start = max(ready[number], done[-1] if done else 0.0, storing if since == 1 else 0.0)
            done.append(start + step.products / engine.products_per_cycle + engine.start_cycles)
            if step.stores:
                storing = max(done[-1], storing) + step.stores / engine.words_per_cycle + engine.request_cycles
        best = (inf, 0, "")
        for operand, users in queue.items():
            at = loaded[operand]
            if at == len(users):
                continue
            holder = users[at - _BUFFERS] if at >= _BUFFERS else -1  # the step that uses the buffer that is filled next
            if holder < len(done):
                best = min(best, (max(loading, done[holder] if holder >= 0 else 0.0), users[at], operand))
        at_time, number, operand = best
        if at_time == inf:
            return max(storing, done[-1] if done else 0.0) + 1
        loading = at_time + steps[number].loads[operand] / engine.words_per_cycle + engine.request_cycles
        ready[number] = max(ready[number], loading)
        loaded[operand] += 1
        waiting[number] -= 1


def product(m: int, n: int, k: int, tile_m: int, tile_n: int, tile_k: int) -> list[Step]:
    """An m x k by k x n product, tile by tile; the sums over k of a tile of the result stay in the array."""
    turns = k // tile_k
    return [
        Step(
            {"left": tile_m * tile_k, "right": tile_n * tile_k},
            tile_m * tile_n * tile_k,
            tile_m * tile_n if turn == turns - 1 else 0,
            opens=turn == 0,
        )
        for _ in range((m // tile_m) * (n // tile_n))
        for turn in range(turns)
    ]


def chain(m: int, k: int, middle: int, n: int, tile_m: int, tile_k: int, tile_middle: int) -> list[Step]:
    """(m x k by k x middle) by middle x n, as attention's scores and their product with the values.

    `tile_m` rows of the result in between are finished, all `middle` columns of them, and used at once.
    """
    first, second = k // tile_k, middle // tile_middle
    block = [
        Step({"left": tile_m * tile_k, "right": tile_k * middle}, tile_m * tile_k * middle, opens=turn == 0)
        for turn in range(first)
    ]
    block += [
        Step(
            {"second right": tile_middle * n},
            tile_m * tile_middle * n,
            tile_m * n if turn == second - 1 else 0,
            opens=turn == 0,
        )
        for turn in range(second)
    ]
    return block * (m // tile_m)
