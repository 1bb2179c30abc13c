"""A stage: operations that run together, one output row at a time, each tensor between them as the few rows that are still read.

The rows run by demand: to make a row of the last operation, the rows that it reads are made first, and so on up to the tensors that
are whole before the stage begins. No row is made twice (StreamNet, Chen et al. 2023; line buffers as in msf-CNN, Huang et al. 2025).
How many rows of a tensor live at one time follows from running that order once with numbers alone; `kernels/mico_stage.c` runs it with
the rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from mico_runner.codegen.schedule.network import Network


class Line(NamedTuple):
    """A tensor of a stage.

    Attributes:
        height: rows that are made.
        above: rows of zeros in front of them, which windows read.
        maker: the work that makes it; -1: it is whole before the stage begins.
        whole: all of it is in memory; else as many rows as live at one time.
    """

    tensor: str
    height: int
    above: int
    maker: int
    whole: bool


class Read(NamedTuple):
    """What an output row y reads of a line: rows y * step - above and the `extent` - 1 that follow."""

    line: int
    step: int
    extent: int
    above: int


class Work(NamedTuple):
    """What makes a line: an operation of the network, by its index, or (None) the copy of a whole tensor's rows among rows of zeros."""

    operation: int | None
    reads: tuple[Read, ...]
    makes: int


@dataclass(frozen=True)
class Rows:
    """Operations start .. stop - 1 as a stage.

    Attributes:
        works: in an order in which each reads lines of those in front alone; the last makes the output.
        rows: that each line's memory holds; of a whole one its height.
        in_place: a tensor that is read here for the last time and over whose rows the output may be written; "" where there is none.
    """

    start: int
    stop: int
    lines: tuple[Line, ...]
    works: tuple[Work, ...]
    rows: tuple[int, ...]
    in_place: str


def stage(network: Network, start: int, stop: int, last_reads: dict[str, int], *, strips: bool = False) -> Rows | None:
    """The stage of these operations; None: they cannot run row by row, or make more than one tensor that is read elsewhere.

    Args:
        last_reads: `network.last_reads()`.
        strips: it is to run for some columns at a time: what it reads of whole tensors is copied, and its output lies apart.
    """
    operations, tensors = network.operations[start:stop], network.tensors
    made = {operation.makes for operation in operations}
    output = operations[-1].makes
    for operation in operations:
        if operation.reach is None or tensors[operation.makes].size is None:
            return None
        if any(tensors[name].size is None for name in operation.reads):
            return None
        if operation.makes != output and not start < last_reads.get(operation.makes, -1) < stop:
            return None
    builder = _Builder(network, made, output, strips)
    for i, operation in enumerate(operations, start):
        builder.add(i, operation.reads)
    lines, works = tuple(builder.lines), tuple(builder.works)
    candidates = [
        k
        for k, line in enumerate(lines)
        if not strips and line.maker < 0 and _replaceable(network, line, output, stop, last_reads)
    ]
    rows, in_place = _run(lines, works, candidates, [_elementwise(network, work) for work in works])
    return Rows(start, stop, lines, works, rows, lines[in_place].tensor if in_place is not None else "")


def order(stage: Rows) -> Iterator[tuple[int, int]]:
    """Works and rows, in the order in which they run; lines, numbered behind the works, and -1 for a row of zeros below one."""
    yield from _order(stage.lines, stage.works, [0] * len(stage.lines))


class _Builder:
    def __init__(self, network: Network, made: set[str], output: str, strips: bool) -> None:
        self.network = network
        self.strips = strips
        self.made = made
        self.output = output
        self.lines: list[Line] = []
        self.works: list[Work] = []
        self.at: dict[tuple[str, bool], int] = {}

    def add(self, index: int, reads: tuple[str, ...]) -> None:
        operation = self.network.operations[index]
        reach = operation.reach
        assert reach is not None
        above, step, extent = reach.padding[0], reach.stride[0], reach.extent[0]
        image = self._height(operation.makes) > 1
        found = []
        for name in reads:
            once = reach.elementwise and image and self._height(name) == 1  # a factor for all rows
            found.append(Read(self._read(name, above), 0 if once else step, extent, above))
        makes = self._line(operation.makes, len(self.works), operation.makes == self.output)
        self.works.append(Work(index, tuple(found), makes))

    def _read(self, name: str, above: int) -> int:
        """The line of a tensor that is read with these rows of zeros above."""
        if name in self.made:
            line = self.at[name, False]
        else:
            line = self.at.get((name, False), -1)
            if line < 0:
                line = self._line(name, -1, True, (name, False))
            if above or self.strips:
                if (name, True) not in self.at:
                    copy = self._line(name, len(self.works), False, (name, True))
                    self.works.append(Work(None, (Read(line, 1, 1, 0),), copy))
                line = self.at[name, True]
        if above > self.lines[line].above:
            self.lines[line] = self.lines[line]._replace(above=above)
        return line

    def _line(self, name: str, maker: int, whole: bool, key: tuple[str, bool] | None = None) -> int:
        self.at[key or (name, False)] = len(self.lines)
        self.lines.append(Line(name, self._height(name), 0, maker, whole))
        return len(self.lines) - 1

    def _height(self, name: str) -> int:
        size = self.network.tensors[name].size
        assert size is not None  # `stage` has looked
        return size[0]


def _replaceable(network: Network, line: Line, output: str, stop: int, last_reads: dict[str, int]) -> bool:
    """Whether the output has the size of a tensor that nothing reads after the stage, in the arena both."""
    old, new = network.tensors[line.tensor], network.tensors[output]
    same = old.bytes == new.bytes and old.size == new.size
    return same and not old.caller and not new.caller and last_reads[line.tensor] < stop


def _elementwise(network: Network, work: Work) -> bool:
    if work.operation is None:
        return False
    reach = network.operations[work.operation].reach
    return reach is not None and reach.elementwise


def _run(
    lines: tuple[Line, ...], works: tuple[Work, ...], candidates: list[int], elementwise: list[bool]
) -> tuple[tuple[int, ...], int | None]:
    """Rows of each line that live at one time, and the first of the candidates over whose rows the output may be written."""
    readers: list[list[tuple[int, Read]]] = [[] for _ in lines]  # of a line: the line that is made, how it is read
    for work in works:
        for read in work.reads:
            readers[read.line].append((work.makes, read))
    rows = [line.height if line.whole else 1 for line in lines]
    last, output = len(works) - 1, works[-1].makes
    made = [0] * len(lines)
    safe = list(candidates)
    for number, row in _order(lines, works, made):
        line = works[number].makes if row >= 0 else number - len(works)
        at = made[line] - 1
        if not lines[line].whole:
            # the work that is running still reads what it reads: `made` counts its row already, but not for the line of another
            oldest = min((made[makes] * read.step - read.above for makes, read in readers[line]), default=at)
            rows[line] = max(rows[line], at - oldest + 1)
        if number == last and row >= 0:
            safe = [k for k in safe if _is_read(lines, readers[k], made, output, row, elementwise[last])]
    return tuple(rows), safe[0] if safe else None


def _is_read(
    lines: tuple[Line, ...],
    readers: list[tuple[int, Read]],
    made: list[int],
    output: int,
    row: int,
    elementwise: bool,
) -> bool:
    """Whether nothing reads a row up to this one any more but, element by element, the work that writes it."""
    for makes, read in readers:
        if makes == output:
            if not elementwise:
                return False
        elif made[makes] < lines[makes].height and made[makes] * read.step - read.above <= row:
            return False
    return True


def _order(lines: tuple[Line, ...], works: tuple[Work, ...], made: list[int]) -> Iterator[tuple[int, int]]:
    """As `order`; `made` counts the rows of each line, zeros below included, the one that is yielded, too."""
    last, count = len(works) - 1, len(works)
    inner = [[read for read in work.reads if lines[read.line].maker >= 0] for work in works]
    makes = [work.makes for work in works]
    output = works[-1].makes
    while made[output] < lines[output].height:
        number = last
        while True:
            row = made[makes[number]]
            for line, step, extent, above in inner[number]:
                if made[line] < row * step - above + extent:
                    break
            else:
                made[makes[number]] += 1
                yield number, row
                break
            if made[line] >= lines[line].height:
                made[line] += 1
                yield count + line, -1
            else:
                number = lines[line].maker
