"""What a stage takes of the arena, and which products it computes twice, in each form in which it can run."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from mico_runner.codegen.schedule.columns import columns
from mico_runner.codegen.schedule.network import Network, aligned
from mico_runner.codegen.schedule.rows import Rows

Span = tuple[int, int]  # first, one past the last
PARTS = (2, 3, 4, 5, 6, 8, 10, 12, 14)  # strips, or patches along an edge, that are tried


class Form(NamedTuple):
    """How a stage runs.

    Attributes:
        kind: "whole": one operation, all of its output; "rows": row by row; "strips": the same once for each of `parts` strips of
            columns (StreamNet); "patches": operation by operation for each of `parts` x `parts` patches of the output, with all that
            they read (MCUNetV2, Lin et al. 2021).
        ram: bytes of the arena while it runs, tensors for later operations included.
        extra: multiply-accumulates that it computes besides those of the network.
        in_place: the tensor in whose memory the output lies; "" where there is none.
    """

    kind: str
    start: int
    stop: int
    ram: int
    extra: int = 0
    parts: int = 1
    in_place: str = ""


class Costs:
    """Forms of the stages of one network, by first operation and one past the last."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.last_reads = network.last_reads()
        self.live = [self._live(i) for i in range(len(network.operations))]

    def bound(self, start: int, stop: int, in_place: bool = True) -> int:
        """Bytes that no form of the stage can do without, or none in parts, which are never in place."""
        return self.live[start] + (0 if in_place else self._written(self.network.operations[stop - 1].makes))

    def whole(self, i: int) -> Form:
        """One operation; an elementwise one may write over an operand that nothing reads after it."""
        operation, tensors = self.network.operations[i], self.network.tensors
        made, in_place = tensors[operation.makes], ""
        if operation.reach and operation.reach.elementwise and not made.caller:
            fitting = (t for t in operation.reads if self.last_reads[t] == i and not tensors[t].caller)
            in_place = next((t for t in fitting if tensors[t].bytes == made.bytes), "")
        ram = self.live[i] + aligned(operation.scratch) + (0 if in_place else self._written(operation.makes))
        return Form("whole", i, i + 1, ram, in_place=in_place)

    def rows(self, stage: Rows) -> Form:
        """Row by row."""
        output = 0 if stage.in_place else self._output(stage)
        ram = self.live[stage.start] + self._scratch(stage) + output
        for line, rows in zip(stage.lines, stage.rows, strict=True):
            ram += 0 if line.whole else aligned(rows * self._row_bytes(line.tensor))
        return Form("rows", stage.start, stage.stop, ram, in_place=stage.in_place)

    def strips(self, stage: Rows, parts: int) -> Form | None:
        """Row by row, strip by strip, of a stage that is built for it; None: it cannot run so."""
        found = columns(self.network, stage, parts)
        if found is None:
            return None
        ram = self.live[stage.start] + self._scratch(stage) + self._output(stage)
        extra = 0
        for line, rows, span in zip(stage.lines, stage.rows, found.lines, strict=True):
            if span and not line.whole:
                ram += aligned(rows * self._row_bytes(line.tensor) // self._size(line.tensor)[1] * span.width)
        for work in stage.works:
            if work.operation is not None and (made := found.lines[work.makes]):
                operation = self.network.operations[work.operation]
                width = self._size(operation.makes)[1]
                extra += operation.macs // width * (found.strips * made.width - width)
        return Form("strips", stage.start, stage.stop, ram, extra, parts)

    def patches(self, stages: Sequence[Rows], parts: int) -> list[Form]:
        """Stages that end at one place, the latest beginning first, in patches.

        One sweep from the end serves them all: what a part needs of a tensor depends on its readers alone.
        """
        output = stages[0].lines[stages[0].works[-1].makes].tensor
        height, width = self._size(output)
        across = {output: _edges(width, parts)} if parts <= width else {}
        lines = {output: _edges(height, parts)} if parts <= height else {}
        found: list[Form] = []
        swept = stages[0].stop
        for rows in stages:
            for i in range(swept - 1, rows.start - 1, -1):
                self._reach(i, 1, across)
                self._reach(i, 0, lines)
            swept = rows.start
            if across and lines:
                found.append(self._patches(rows, parts, across, lines))
        return found

    def _reach(self, i: int, axis: int, spans: dict[str, list[Span]]) -> None:
        """Add what each part reads by one operation."""
        operation = self.network.operations[i]
        if not spans or (reach := operation.reach) is None:
            return
        step, padding, extent = reach.stride[axis], reach.padding[axis], reach.extent[axis]
        made = spans[operation.makes]
        for name in operation.reads:
            size = self._size(name)[axis]
            read = [(max(0, a * step - padding), min(size, (b - 1) * step - padding + extent)) for a, b in made]
            if reach.elementwise and size == 1:  # a factor for all
                read = [(0, 1)] * len(made)
            if name in spans:
                both = zip(read, spans[name], strict=True)
                read = [(min(a, c), max(b, d)) for (a, b), (c, d) in both]
            spans[name] = read

    def _patches(self, stage: Rows, parts: int, across: dict[str, list[Span]], lines: dict[str, list[Span]]) -> Form:
        """Operation by operation for each patch of the output."""
        last = {read.line: number for number, work in enumerate(stage.works) for read in work.reads}
        events = [0] * (len(stage.works) + 1)  # bytes that begin to live with each work, less those that no longer do
        for number, work in enumerate(stage.works):
            line = stage.lines[work.makes]
            if not line.whole:
                height, width = self._size(line.tensor)
                area = _widest(lines[line.tensor]) * _widest(across[line.tensor])
                size = aligned(self.network.tensors[line.tensor].bytes // (height * width) * area)
                events[number] += size
                events[last[work.makes] + 1] -= size
        inner = max(accumulate(events))
        ram = self.live[stage.start] + self._scratch(stage) + self._output(stage) + inner
        extra = 0
        for operation in self.network.operations[stage.start : stage.stop]:
            height, width = self._size(operation.makes)
            covered = _covered(across[operation.makes]) * _covered(lines[operation.makes])
            extra += operation.macs // (height * width) * (covered - height * width)
        return Form("patches", stage.start, stage.stop, ram, extra, parts)

    def _live(self, i: int) -> int:
        """Bytes of the arena's tensors that are there before an operation, and are read by it or later."""
        made = dict.fromkeys(operation.makes for operation in self.network.operations[:i])  # some in several parts
        return sum(self._written(name) for name in made if self.last_reads.get(name, -1) >= i)

    def _written(self, name: str) -> int:
        tensor = self.network.tensors[name]
        return 0 if tensor.caller else aligned(tensor.bytes)

    def _output(self, stage: Rows) -> int:
        return self._written(stage.lines[stage.works[-1].makes].tensor)

    def _scratch(self, stage: Rows) -> int:
        return aligned(max(o.row_scratch for o in self.network.operations[stage.start : stage.stop]))

    def _row_bytes(self, name: str) -> int:
        return self.network.tensors[name].bytes // self._size(name)[0]

    def _size(self, name: str) -> tuple[int, int]:
        size = self.network.tensors[name].size
        assert size is not None  # a stage has images alone
        return size


def _edges(size: int, parts: int) -> list[Span]:
    edges = [round(size * k / parts) for k in range(parts + 1)]
    return list(pairwise(edges))


def _covered(spans: Sequence[Span]) -> int:
    return sum(b - a for a, b in spans)


def _widest(spans: Sequence[Span]) -> int:
    return max(b - a for a, b in spans)
