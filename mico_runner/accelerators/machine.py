"""The parts of a mapping: operands of a workload, memories and networks around an array, and loops."""

from __future__ import annotations

from collections.abc import Mapping as Map
from dataclasses import dataclass, field
from math import inf

import numpy as np


@dataclass(frozen=True)
class Operand:
    """How a tensor is indexed.

    Attributes:
        axes: one sum per axis of the tensor, as {dimension: step}: a convolution's input row is {"P": stride, "R": dilation}.
        written: whether it is the result, which is reduced over the dimensions that do not index it.
    """

    name: str
    axes: tuple[Map[str, int], ...]
    written: bool = False

    def indexed_by(self, dimension: str) -> bool:
        return any(dimension in axis for axis in self.axes)


@dataclass(frozen=True)
class Network:
    """A network that carries one operand between a memory and the instances of the next one inside.

    Attributes:
        words: per cycle and instance of the outer memory, each way; what many instances receive alike is sent once.
        overlapped: whether it works beside the multipliers; otherwise they wait while it loads, and then for the first tile of
            the operands that come by overlapped networks to the same place.
        element_pj: energy of bringing one element to, or from, one instance of the inner memory.
        shared: whether windows of neighbours that overlap are sent once; otherwise each instance's tile is sent by itself.
    """

    words: float = inf
    overlapped: bool = True
    element_pj: float = 0.0
    shared: bool = False


@dataclass(frozen=True)
class Memory:
    """One level of storage.

    A word is the unit of size and bandwidth; an element of an operand takes one unless `element_words` says otherwise.

    Attributes:
        keeps: the operands that have a home here; the others pass by.
        access_pj: energy of reading or writing one element, by operand.
        write_pj: energy of writing one, where it differs.
        size_words: of one instance, shared by its operands.
        read_words, write_words, shared_words: bandwidth of one instance, words per cycle: each way, and both together.
        leak_pj: of all instances, per cycle.
        element_words: words of one element, by operand; with words of one bit, its bits.
        final_words: words of a finished result in the outermost memory, where they are fewer than a partial sum's.
        networks: what feeds this memory, by operand.
        beside: whether it holds the same tiles as the memory before it: no loops lie between.
    """

    name: str
    keeps: tuple[str, ...]
    access_pj: Map[str, float] = field(default_factory=dict)
    size_words: float = inf
    read_words: float = inf
    write_words: float = inf
    shared_words: float = inf
    leak_pj: float = 0.0
    element_words: Map[str, float] = field(default_factory=dict)
    final_words: float | None = None
    write_pj: Map[str, float] = field(default_factory=dict)
    networks: Map[str, Network] = field(default_factory=dict)
    beside: bool = False

    def words(self, operand: str) -> float:
        """Words of one element."""
        return self.element_words.get(operand, 1)


@dataclass(frozen=True)
class Loop:
    """A loop of a nest: `bound` iterations of `dimension`, one after another or side by side."""

    dimension: str
    bound: np.ndarray
    spatial: bool = False


Nest = list[list[Loop]]  # for each memory the loops that walk over its tiles, outermost first


@dataclass(frozen=True)
class Machine:
    """Memories, outermost first, around `macs` multipliers of `mac_pj` a product.

    Attributes:
        lanes: products that one multiplier does side by side, all of one sum inside the innermost memory's loops.
        serial: cycles that it takes for them.
        word: what messages call the unit of size.
        drains: whether each result is accessed once more in every memory that it leaves towards the outermost one, among the
            writes. Timeloop counts so in the version of 2023 that DOSA's runs were made with, and not in the version that the
            published designs were (docs/results/accelerators.md).
    """

    memories: tuple[Memory, ...]
    macs: int
    mac_pj: float = 0.0
    lanes: int = 1
    serial: int = 1
    word: str = "words"
    drains: bool = False
