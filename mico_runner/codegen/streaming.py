"""A layer-by-layer program with a schedule of least memory: some of its calls become stages that run row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Sequence
from dataclasses import replace
from typing import NamedTuple

from mico_runner.codegen.planner import Request
from mico_runner.codegen.program import Call, Stage
from mico_runner.codegen.schedule.forms import Form
from mico_runner.codegen.schedule.network import Network, Operation, Tensor
from mico_runner.codegen.schedule.path import Planner
from mico_runner.ops import operator
from mico_runner.ops.c import Buffer, input_dtype
from mico_runner.ops.node import QNode
from mico_runner.ops.reach import Reach
from mico_runner.quant.qgraph import QGraph

SCHEDULES = ("layers", "rows")
MOST_READS = 2  # MICO_STAGE_READS


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
    one_row: Callable[[QNode, Call, Reach], Call | None],
    kept: Container[str] = (),
) -> Streamed:
    """Schedule the calls of a graph.

    Args:
        one_row: a node's call in its form for one output row; None where the node is no single call.
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
    schedule = planner.least(kinds=("rows",))
    return _program(network, planner, schedule.forms, calls, rows, schedule.ram)


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
        for line, count, size, name in zip(
            stage.rows.lines, stage.rows.rows, stage.row_bytes, stage.memory, strict=True
        ):
            if not line.whole:
                live(name, count * size, stage.first, stage.last)
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
            tensors[buffer.name] = _tensor(buffer, buffer.name in kept)
        weight = weights.get(call.node)
        products = 0 if weight is None else call.output.size * weight[0].size
        row = rows[i].scratch_bytes if i in rows else 0
        reads = tuple(buffer.name for buffer in call.inputs)
        own = (call.name, reads, call.output.name, products, reaches.get(i), call.scratch_bytes, row)
        operations.append(Operation(*own))
    outputs = tuple(name for name in dict.fromkeys(c.output.name for c in calls if c.output.place == "output"))
    return Network(graph.name, tuple(operations), tensors, outputs)


def _tensor(buffer: Buffer, kept: bool) -> Tensor:
    size = (buffer.shape[1], buffer.shape[2]) if len(buffer.shape) == 3 and buffer.order is None else None
    return Tensor(buffer.bytes, size, kept or buffer.place != "arena")


def _program(
    network: Network, planner: Planner, forms: Sequence[Form], calls: Sequence[Call], rows: dict[int, Call], ram: int
) -> Streamed:
    found = list(calls)
    stages: list[Stage] = []
    lies_in: dict[str, str] = {}
    for form in forms:
        output = calls[form.stop - 1].output.name
        if form.in_place:
            lies_in[output] = form.in_place
        if form.kind == "whole":
            continue
        about = planner.stage(form.start, form.stop)
        assert about is not None  # the planner has weighed it
        for i in range(form.start, form.stop):
            found[i] = rows[i]
        name = f"stage_{len(stages) + 1}"
        memory = tuple(
            line.tensor if line.whole else f"{name}.rows_{k}_of_{line.tensor}" for k, line in enumerate(about.lines)
        )
        sizes = (network.tensors[line.tensor].bytes // line.height for line in about.lines)
        stages.append(Stage(name, about, tuple(sizes), memory))
    return Streamed(found, tuple(stages), lies_in, ram)


def as_row(buffer: Buffer, height: int) -> Buffer:
    """The buffer as an image of so many rows."""
    channels, _, width = buffer.shape
    return replace(buffer, shape=(channels, height, width))
