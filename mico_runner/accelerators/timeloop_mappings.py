"""Counts many mappings in Timeloop's one-line form, all convolutions: "L3[WIO] P28 R7 - L2[WI] N1 K4X - L1[O] C3X - L0[W] P2".

Levels are written from DRAM inwards, each with the operands that it keeps and its loops, outermost first; X marks loops side by side.
Mappings whose loops can be read as parts of the same longer orders are counted at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mico_runner.accelerators import hierarchy
from mico_runner.accelerators.machine import Loop, Machine, Memory, Operand
from mico_runner.errors import UsageError

DIMENSIONS = ("N", "K", "C", "P", "Q", "R", "S")
_LEVEL = re.compile(r"(L\d+)\[([WIO]*)\]((?: [NKCPQRS]\d+X?)*)")

Slot = tuple[str, bool]  # a dimension, and whether its loop runs side by side
Order = tuple[Slot, ...]
Level = tuple[str, str, dict[Slot, int]]  # name, operands kept, bounds in their order


@dataclass(frozen=True)
class Counts:
    """Accesses of mappings; every value is float64 (mappings,).

    Attributes:
        compute_cycles: turns of the array.
        instances: in use, by level.
        reads, writes: words of one instance, by (level, operand); fills and updates are writes.
    """

    compute_cycles: np.ndarray
    instances: Mapping[str, np.ndarray]
    reads: Mapping[tuple[str, str], np.ndarray]
    writes: Mapping[tuple[str, str], np.ndarray]


def parse(text: str) -> tuple[Level, ...]:
    """The levels of a mapping, outermost first, without loops of one turn. Raises UsageError."""
    levels: list[Level] = []
    for part in text.split(" - "):
        found = _LEVEL.fullmatch(part.strip())
        if found is None:
            raise UsageError(f"mapping {text!r}: found level {part!r}; allowed: L3[WIO] P28 C4X ...")
        loops: dict[Slot, int] = {}
        for loop in found[3].split():
            slot, bound = (loop[0], loop.endswith("X")), int(loop[1:].rstrip("X"))
            if slot in loops:
                raise UsageError(f"mapping {text!r}: level {found[1]} has two loops {loop[0]}; allowed: one of a kind")
            if bound < 1:
                raise UsageError(f"mapping {text!r}: loop {loop}; allowed: bounds from 1")
            if bound > 1:
                loops[slot] = bound
        levels.append((found[1], found[2], loops))
    return tuple(levels)


def count(mappings: pd.Series, strides: pd.DataFrame, drains: bool) -> Counts:
    """Counts every mapping.

    Args:
        mappings: texts, all with the same levels.
        strides: of the window, columns P and Q, a row per mapping.
        drains: see `machine.Machine`.

    Raises:
        UsageError: a text of another form, or with other levels than the first.
    """
    texts = [str(text) for text in mappings]
    cases = list(zip(texts, strides["P"].astype(int), strides["Q"].astype(int), strict=True))
    distinct = {case: number for number, case in enumerate(dict.fromkeys(cases))}
    read = {text: parse(text) for text in dict.fromkeys(texts)}
    homes = _homes(read)
    orders = [frames(tuple(levels[at][2]) for levels in read.values()) for at in range(len(homes))]
    groups: dict[tuple[tuple[Order, ...], int, int], list[str]] = {}
    for text, p, q in distinct:
        whole = tuple(order[tuple(loops)] for order, (_, _, loops) in zip(orders, read[text], strict=True))
        groups.setdefault((whole, p, q), []).append(text)
    machine = Machine(tuple(Memory(name, tuple(keeps)) for name, keeps in homes), macs=1, drains=drains)
    collected: dict[tuple[str, str, str], np.ndarray] = {}
    for (whole, p, q), alike in groups.items():
        nest = [
            [
                Loop(d, np.array([read[text][at][2].get((d, beside), 1) for text in alike]), beside)
                for d, beside in order
            ]
            for at, order in enumerate(whole)
        ]
        cost = hierarchy.evaluate(nest, _operands(p, q), machine)
        found = {("compute", "", ""): cost.compute_cycles}
        found |= {("instances", name, ""): used for name, used in cost.instances.items()}
        for (name, operand), words in cost.accesses.items():
            found["reads", name, operand] = words.reads
            found["writes", name, operand] = words.fills + words.updates
        rows = [distinct[text, p, q] for text in alike]
        for key, values in found.items():
            collected.setdefault(key, np.empty(len(distinct)))[rows] = values
    number = [distinct[case] for case in cases]
    spread = {key: values[number] for key, values in collected.items()}
    instances = {name: values for (what, name, _), values in spread.items() if what == "instances"}
    reads, writes = (
        {(name, operand): values for (what, name, operand), values in spread.items() if what == way}
        for way in ("reads", "writes")
    )
    return Counts(spread["compute", "", ""], instances, reads, writes)


def _homes(read: Mapping[str, tuple[Level, ...]]) -> list[tuple[str, str]]:
    """Names and operands of the levels that all mappings have. Raises UsageError."""
    homes = [(name, keeps) for name, keeps, _ in next(iter(read.values()), ())]
    for text, levels in read.items():
        if [(name, keeps) for name, keeps, _ in levels] != homes:
            allowed = " ".join(f"{name}[{keeps}]" for name, keeps in homes)
            raise UsageError(f"mapping {text!r}: other levels than the first; allowed: {allowed}")
    return homes


def frames(orders: Iterable[Order]) -> dict[Order, Order]:
    """For each order of loops a longer one that holds it, in the same order; few longer ones for all.

    Loops that an order lacks take one turn there, which costs nothing.
    """
    whole: list[Order] = []
    found = {}
    for order in sorted(set(orders), key=lambda loops: (-len(loops), loops)):
        fitting = next((frame for frame in whole if _holds(frame, order)), None)
        if fitting is None:
            whole.append(fitting := order)
        found[order] = fitting
    return found


def _holds(frame: Order, order: Order) -> bool:
    rest = iter(frame)
    return all(slot in rest for slot in order)


def _operands(p: int, q: int) -> tuple[Operand, ...]:
    """Weights, inputs and outputs of a convolution with these strides."""
    return (
        Operand("W", ({"K": 1}, {"C": 1}, {"R": 1}, {"S": 1})),
        Operand("I", ({"N": 1}, {"C": 1}, {"P": p, "R": 1}, {"Q": q, "S": 1})),
        Operand("O", ({"N": 1}, {"K": 1}, {"P": 1}, {"Q": 1}), written=True),
    )
