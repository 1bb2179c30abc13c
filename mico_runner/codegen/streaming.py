"""A layer-by-layer program with a schedule of least memory: some of its calls become stages that run row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

from mico_runner.codegen.planner import Request
from mico_runner.codegen.program import Call, Stage, StageLine
from mico_runner.codegen.schedule.columns import Span, columns
from mico_runner.codegen.schedule.forms import Form
from mico_runner.codegen.schedule.network import Network, Operation, Tensor, aligned
from mico_runner.codegen.schedule.path import Planner
from mico_runner.codegen.schedule.rows import Rows
from mico_runner.ops import operator
from mico_runner.ops.c import Buffer, input_dtype
from mico_runner.ops.node import QNode
from mico_runner.ops.reach import Reach
from mico_runner.quant.qgraph import QGraph

SCHEDULES = ("layers", "rows")
MOST_READS = 2  # MICO_STAGE_READS


class RowOf(Protocol):
    """Gives a node's call in its form for one output row; None where the node is no single call."""

    def __call__(
        self, node: QNode, call: Call, reach: Reach, widths: tuple[int, ...] = (), width: int = 0
    ) -> Call | None:
        """`widths`, `width`: of the rows of a strip, read and made; those of the tensors without."""


class Streamed(NamedTuple):
    """A scheduled program.

    Attributes:
        calls: those of stages in their form for one row.
        lies_in: buffers that lie in the memory of another.
        ram: bytes of the arena that the schedule predicts.
    """

    calls: list[Call]
    stages: tuple[Stage, ...]
    lies_in: dict[str, str]
    ram: int


def stream(
    graph: QGraph,
    calls: Sequence[Call],
    one_row: RowOf,
    kept: Container[str] = (),
    max_macs: float = 1.0,
) -> Streamed:
    """Schedule the calls of a graph.

    Args:
        one_row: makes calls for one row.
        max_macs: products that it may compute, relative to the network's.
        kept: buffers that outlive a run of the program, apart from the planned arena.
    """
    nodes = {node.name: node for node in graph.nodes}
    count = Counter(call.node for call in calls)
    writers = Counter(call.output.name for call in calls)
    rows: dict[int, Call] = {}
    reaches: dict[int, Reach] = {}
    for i, call in enumerate(calls):
        node = nodes.get(call.node)
        if node is None or count[call.node] > 1 or writers[call.output.name] > 1:
            continue
        reach = operator(node.op).reach(node, {t: graph.tensors[t].shape for t in (*node.inputs, node.output)})
        if reach and _can_stream(node, call, reach) and (row := one_row(node, call, reach)):
            rows[i], reaches[i] = row, reach
    network = _network(graph, calls, rows, reaches, kept)
    planner = Planner(network)
    schedule = planner.least(max_macs, kinds=("rows", "strips"))
    return _Staging(
        network, planner, calls, rows, lambda i, *sizes: one_row(nodes[calls[i].node], calls[i], *sizes)
    ).program(schedule.forms)


def requests(streamed: Streamed) -> list[Request]:
    """Lifetime of every buffer in the arena: from the call that writes it to the last that reads it; in a stage all live throughout."""
    spans: dict[str, Request] = {}

    def live(name: str, size: int, first: int, last: int) -> None:
        known = spans.get(name, Request(name, size, first, last))
        spans[name] = Request(name, max(size, known.bytes), min(first, known.first), max(last, known.last))

    staged = {i: stage for stage in streamed.stages for i in range(stage.first, stage.last + 1)}
    inner = {t for stage in streamed.stages for t in _inner(stage)}
    for i, call in enumerate(streamed.calls):
        stage = staged.get(i)
        first, last = (stage.first, stage.last) if stage else (i, i)
        for buffer in (*call.inputs, call.output):
            if buffer.place == "arena" and buffer.name not in inner:
                live(root_of(buffer.name, streamed.lies_in), buffer.bytes, first, last)
        if call.scratch_bytes:
            live(f"{stage.name if stage else call.name}.scratch", call.scratch_bytes, first, last)
    for stage in streamed.stages:
        for line, count, own in zip(stage.rows.lines, stage.rows.rows, stage.lines, strict=True):
            if not line.whole:
                live(own.memory, count * own.row_bytes, stage.first, stage.last)
    return list(spans.values())


def root_of(name: str, lies_in: dict[str, str]) -> str:
    """The buffer in whose memory this one lies, itself where it is in none."""
    while name in lies_in:
        name = lies_in[name]
    return name


def _inner(stage: Stage) -> set[str]:
    """Tensors of which the stage has rows alone."""
    whole = {line.tensor for line in stage.rows.lines if line.whole}
    return {line.tensor for line in stage.rows.lines} - whole


def _can_stream(node: QNode, call: Call, reach: Reach) -> bool:
    """Whether the call reads and makes images, a buffer for each of the node's inputs, and can take rows of zeros as padding."""
    buffers = (*call.inputs, call.output)
    images = all(len(b.shape) == 3 and b.order is None for b in buffers)
    bytewise = all(input_dtype(b.type).itemsize == 1 for b in call.inputs if b.place == "input")
    source = call.inputs[0].type
    # zeros beside the image tell the kernels of sign bits that there are zeros, too: they have none of their own
    padding = not (reach.padding[0] and not reach.padding[1] and source.is_sign)
    return images and bytewise and padding and len(call.inputs) == len(node.inputs) <= MOST_READS


def _network(
    graph: QGraph, calls: Sequence[Call], rows: dict[int, Call], reaches: dict[int, Reach], kept: Container[str]
) -> Network:
    tensors: dict[str, Tensor] = {}
    operations = []
    weights = {node.name: node.weight for node in graph.nodes}
    for i, call in enumerate(calls):
        for buffer in (*call.inputs, call.output):
            tensor = _tensor(buffer, buffer.name in kept)
            if tensors.get(buffer.name, tensor).size != tensor.size:
                # A view: it is read with other rows than it is made with.
                tensor = replace(tensor, size=None)
            tensors[buffer.name] = tensor
        weight = weights.get(call.node)
        products = 0 if weight is None else call.output.size * weight[0].size
        row = rows[i].scratch_bytes if i in rows else 0
        reads = tuple(buffer.name for buffer in call.inputs)
        reach = reaches.get(i)
        beside = not (reach and call.inputs[0].type.is_sign and reach.extent != (1, 1))  # -1 and 1 have no zero between
        own = (call.name, reads, call.output.name, products, reach, beside, call.scratch_bytes, row)
        operations.append(Operation(*own))
    outputs = tuple(name for name in dict.fromkeys(c.output.name for c in calls if c.output.place == "output"))
    return Network(graph.name, tuple(operations), tensors, outputs)


def _tensor(buffer: Buffer, kept: bool) -> Tensor:
    size = (buffer.shape[1], buffer.shape[2]) if len(buffer.shape) == 3 and buffer.order is None else None
    return Tensor(buffer.bytes, size, kept or buffer.place != "arena")


class _Staging:
    """The program of a schedule while its stages are made one by one."""

    def __init__(
        self,
        network: Network,
        planner: Planner,
        calls: Sequence[Call],
        rows: dict[int, Call],
        narrow: Callable[[int, Reach, tuple[int, ...], int], Call | None],
    ) -> None:
        self.network = network
        self.planner = planner
        self.old = calls
        self.rows = rows
        self.narrow = narrow
        self.calls = list(calls)
        self.stages: list[Stage] = []
        self.lies_in: dict[str, str] = {}

    def program(self, forms: Sequence[Form]) -> Streamed:
        ram = 0
        for form in forms:
            if form.in_place:
                self.lies_in[self.old[form.stop - 1].output.name] = form.in_place
            if form.kind == "rows":
                self._add_rows(form)
            elif form.kind == "strips":
                form = self._add_strips(form)
            ram = max(ram, form.ram)
        return Streamed(self.calls, tuple(self.stages), self.lies_in, ram)

    def _add_rows(self, form: Form) -> None:
        about = self.planner.stage(form.start, form.stop)
        assert about is not None  # the planner has weighed it
        for i in range(form.start, form.stop):
            self.calls[i] = self.rows[i]
        shifts = tuple((0,) * len(work.reads) for work in about.works)
        self.stages.append(
            Stage(self._name(), about, tuple(self._line(about, k) for k in range(len(about.lines))), shifts)
        )

    def _add_strips(self, form: Form) -> Form:
        """Its form with the scratch that narrow rows take, which may be less than that of whole ones."""
        about = self.planner.in_strips(form.start, form.stop)
        assert about is not None
        found = columns(self.network, about, form.parts)
        assert found is not None
        shifts = []
        for work, needs in zip(about.works, found.reads, strict=True):
            makes, spans = found.lines[work.makes], [found.lines[read.line] for read in work.reads]
            own = [0] * len(spans)
            if work.operation is not None and makes:
                reach = self.network.operations[work.operation].reach
                assert reach is not None
                known = [span for span in spans if span]
                own = [
                    (need.begin - span.begin) * self._pixel(about, read.line)
                    for need, span, read in zip(needs, known, work.reads, strict=True)
                ]
                widths = tuple(
                    span.width if reach.extent[0] > 1 else need.width for need, span in zip(needs, known, strict=True)
                )
                call = self.narrow(work.operation, reach, widths, makes.width)
                assert call is not None  # it is a single call for a whole row
                self.calls[work.operation] = call
            shifts.append(tuple(own))
        output = found.lines[about.works[-1].makes]
        assert output is not None
        last = self._size(about, about.works[-1].makes)[1] - output.width
        starts = tuple(min(k * output.width, last) for k in range(found.strips))
        lines = tuple(self._line(about, k, found.lines[k]) for k in range(len(about.lines)))
        self.stages.append(Stage(self._name(), about, lines, tuple(shifts), starts))
        operations = range(form.start, form.stop)
        planned = max(self.network.operations[i].row_scratch for i in operations)
        needed = max(self.calls[i].scratch_bytes for i in operations)
        return form._replace(ram=form.ram - aligned(planned) + aligned(needed))

    def _name(self) -> str:
        return f"stage_{len(self.stages) + 1}"

    def _line(self, about: Rows, k: int, span: Span | None = None) -> StageLine:
        line, width, pixel = about.lines[k], self._size(about, k)[1], self._pixel(about, k)
        memory = line.tensor if line.whole else f"{self._name()}.rows_{k}_of_{line.tensor}"
        held = span.width if span and not line.whole else width
        at = (span.multiple, span.begin) if span else (0, 0)
        return StageLine(memory, held * pixel, pixel, width, *at)

    def _size(self, about: Rows, k: int) -> tuple[int, int]:
        size = self.network.tensors[about.lines[k].tensor].size
        assert size is not None  # a stage has images alone
        return size

    def _pixel(self, about: Rows, k: int) -> int:
        height, width = self._size(about, k)
        return self.network.tensors[about.lines[k].tensor].bytes // (height * width)


def as_row(buffer: Buffer, height: int, width: int) -> Buffer:
    """The buffer as an image of this size."""
    return replace(buffer, shape=(buffer.shape[0], height, width))
