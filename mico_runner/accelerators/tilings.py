"""The space that the mapper searches: how dimensions split over the slots of a machine, in which orders their loops stand, which are seen.

A tiling is a number in the mixed base of the splits of its dimensions, so that a sample of a space of any size is a sample of numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import product
from math import prod

import numpy as np

from mico_runner.accelerators.machine import Operand

LoopOrder = tuple[tuple[str, ...], ...]  # for each slot, the dimensions from the outermost loop inwards
_BATCH = 8192


@lru_cache(maxsize=4096)
def splits(extent: int, slots: int, allowed: tuple[int, ...] | None = None) -> np.ndarray:
    """Every way to write `extent` as an ordered product of `slots` factors, (ways, slots); only slots in `allowed` have one above 1.

    The last way has all of the extent in the outermost slot that is allowed.
    """
    if allowed is not None:
        ways = splits(extent, len(allowed))
        spread = np.ones((len(ways), slots), dtype=ways.dtype)
        spread[:, sorted(allowed)] = ways
        return spread
    if slots == 1:
        return np.array([[extent]])
    parts = []
    for first in range(1, extent + 1):
        if extent % first == 0:
            rest = splits(extent // first, slots - 1)
            parts.append(np.hstack([np.full((len(rest), 1), first), rest]))
    return np.vstack(parts)


def count(temporal: np.ndarray, dimensions: list[str], slots: int, restricted: Mapping[str, tuple[int, ...]]) -> int:
    """The number of tilings over all unrollings; `temporal` (unrollings, dimensions) is left to split."""
    total = np.ones(len(temporal))
    for d, column in zip(dimensions, temporal.T, strict=True):
        values, inverse = np.unique(column, return_inverse=True)
        total *= np.array([len(splits(int(n), slots, restricted.get(d))) for n in values])[inverse]
    return int(total.sum())


def loop_orders(
    names: list[str], operands: tuple[Operand, ...], slots: int, array: int, stationary: str
) -> list[LoopOrder]:
    """The loop orders to try: in each slot one operand is stationary, which means that the loops that do not index it run innermost.

    Within a slot, traffic depends only on which loops turn between those of an operand, so that one order per operand stands for many.
    The innermost slot keeps its first order, because its loops touch the multipliers' operands at every step.

    Args:
        array: the slot around the array.
        stationary: the operand that is stationary there; "": each in turn.
    """

    def order(operand: Operand) -> tuple[str, ...]:
        return tuple(sorted(names, key=lambda d: (not operand.indexed_by(d), names.index(d))))

    each = list(dict.fromkeys(order(operand) for operand in operands))
    by_slot = [each] * (slots - 1) + [each[:1]]
    if stationary and array < slots - 1:
        by_slot[array] = [order(operand) for operand in operands if operand.name == stationary]
    return list(product(*by_slot))


def batches(
    ways: list[list[np.ndarray]], unrollings: list[dict[str, int]], wanted: int, seed: int
) -> Iterator[tuple[list[np.ndarray], dict[str, np.ndarray]]]:
    """The tilings to see, in batches.

    Args:
        ways: the splits of each dimension, for each unrolling.
        wanted: tilings in all.

    Yields:
        The factors of each dimension, (tilings, slots), and the spatial extent of each unrolled one, (tilings,).
    """
    unrolled = list(dict.fromkeys(d for way in unrollings for d in way))
    waiting: list[tuple[list[np.ndarray], list[np.ndarray]]] = []
    sizes = [prod(map(len, split)) for split in ways]
    for split, way, size, share in zip(ways, unrollings, sizes, _shares(sizes, wanted), strict=True):
        chosen = _sample(size, share, seed)
        for at in range(0, len(chosen), _BATCH):
            part = chosen[at : at + _BATCH]
            waiting.append((_factors(split, part), [np.full(len(part), way.get(d, 1)) for d in unrolled]))
            if sum(len(factors[0]) for factors, _ in waiting) >= _BATCH:
                yield _joined(waiting, unrolled)
                waiting = []
    if waiting:
        yield _joined(waiting, unrolled)


def _shares(sizes: list[int], wanted: int) -> list[int]:
    """The number of tilings to see of each unrolling: an equal share of `wanted`, and what small spaces leave of theirs."""
    shares = [0] * len(sizes)
    for left, at in enumerate(sorted(range(len(sizes)), key=lambda i: sizes[i])):
        shares[at] = min(sizes[at], max(1, wanted // (len(sizes) - left)))
        wanted = max(0, wanted - shares[at])
    return shares


def _joined(
    parts: list[tuple[list[np.ndarray], list[np.ndarray]]], unrolled: list[str]
) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    factors = [np.concatenate(each) for each in zip(*(part[0] for part in parts), strict=True)]
    extents = [np.concatenate(each) for each in zip(*(part[1] for part in parts), strict=True)]
    return factors, dict(zip(unrolled, extents, strict=True))


def _sample(space: int, wanted: int, seed: int) -> np.ndarray:
    """The numbers of all tilings, or of `wanted` different ones; the last, whose tiles are the smallest, is always among them."""
    if space <= wanted:
        return np.arange(space)
    chosen = np.unique(np.random.default_rng(seed).integers(0, space - 1, size=2 * wanted))
    return np.sort(np.append(np.random.default_rng(seed + 1).permutation(chosen)[: wanted - 1], space - 1))


def _factors(split: list[np.ndarray], chosen: np.ndarray) -> list[np.ndarray]:
    """The factors of each dimension, (tilings, slots) per dimension, of the tilings with these numbers."""
    factors = []
    for ways in split:
        chosen, digit = np.divmod(chosen, len(ways))
        factors.append(ways[digit])
    return factors
