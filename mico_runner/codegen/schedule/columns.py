"""A stage in strips of columns: which columns of each line a strip has.

All strips are of one width, so that one set of kernel calls serves them; the last begins early enough to end with the image. What a strip
needs beside the image is zeros, which are in memory like the columns of the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from mico_runner.codegen.schedule.network import Network
from mico_runner.codegen.schedule.rows import Rows


class Span(NamedTuple):
    """Of a strip that begins with column x of the output: columns x * multiple + begin up to x * multiple + end."""

    multiple: int
    begin: int
    end: int

    @property
    def width(self) -> int:
        return self.end - self.begin


@dataclass(frozen=True)
class Columns:
    """Strips of a stage.

    Attributes:
        strips: how many.
        lines: of each line what a strip has; None of a tensor that is whole before the stage.
        reads: of each work and each of its reads what it needs, in the tensor's columns.
    """

    strips: int
    lines: tuple[Span | None, ...]
    reads: tuple[tuple[Span, ...], ...]


def columns(network: Network, stage: Rows, parts: int) -> Columns | None:
    """The stage, built for strips, in at most so many; None: they would not be narrower, or it cannot run so."""
    size = network.tensors[stage.lines[stage.works[-1].makes].tensor].size
    assert size is not None  # a stage has images alone
    width = -(-size[1] // parts)
    if width == size[1] or parts > size[1]:
        return None
    lines: list[Span | None] = [None] * len(stage.lines)
    lines[stage.works[-1].makes] = Span(1, 0, width)
    reads: list[tuple[Span, ...]] = []
    for work in reversed(stage.works):
        made = lines[work.makes]
        assert made is not None  # its readers stand behind it
        needs = made
        if work.operation is not None:
            operation = network.operations[work.operation]
            reach = operation.reach
            assert reach is not None  # of a stage
            if not operation.beside or any(read.step == 0 for read in work.reads):
                return None
            step, padding, extent = reach.stride[1], reach.padding[1], reach.extent[1]
            begin, end = made.begin * step - padding, (made.end - 1) * step - padding + extent
            needs = Span(made.multiple * step, begin, end)
        reads.append((needs,) * len(work.reads))
        for read in work.reads:
            if stage.lines[read.line].maker < 0:
                continue
            known = lines[read.line] or needs
            if known.multiple != needs.multiple:
                return None
            lines[read.line] = Span(needs.multiple, min(known.begin, needs.begin), max(known.end, needs.end))
    return Columns(-(-size[1] // width), tuple(lines), tuple(reversed(reads)))
