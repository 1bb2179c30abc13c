"""Where the elements of a smaller operand lie for each element of a larger one, in the order of memory."""

from __future__ import annotations

import numpy as np

from mico_runner.ops.c import memory_order, memory_place


def spread(shape: tuple[int, ...], over: tuple[int, ...]) -> tuple[int, int] | None:
    """(run, count) with element i of a tensor `over` meeting element (i / run) % count of one of `shape`; None: it is not so simple."""
    if len(shape) > len(over):
        return None
    shape = (1,) * (len(over) - len(shape)) + shape
    size = int(np.prod(shape))
    index = np.broadcast_to(memory_place(shape).reshape(shape), over).ravel()[memory_order(over)]
    turns = np.flatnonzero(np.diff(index))
    run = int(turns[0]) + 1 if len(turns) else len(index)
    return (run, size) if np.array_equal(np.arange(len(index)) // run % size, index) else None


def period(values: np.ndarray, over: tuple[int, ...]) -> tuple[np.ndarray, int]:
    """Values (numbers, n) of constants for each element `over`, in memory's order, as short as they repeat: (numbers, count), and run."""
    flat = np.stack([np.broadcast_to(v, over).ravel()[memory_order(over)] for v in values])
    size = flat.shape[1]
    turns = np.flatnonzero((np.diff(flat, axis=1) != 0).any(0))
    run = int(np.gcd.reduce(turns + 1)) if len(turns) else size
    run = int(np.gcd(run, size))
    short = flat[:, ::run]
    for count in range(1, short.shape[1]):
        if short.shape[1] % count == 0 and (short.reshape(len(short), -1, count) == short[:, None, :count]).all():
            return short[:, :count], run
    return short, run
