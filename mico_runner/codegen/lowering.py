"""QGraph -> Program: tensors become buffers in HWC order, nodes become kernel calls, the arena is planned."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mico_runner.codegen.checks import check
from mico_runner.codegen.planner import Placement, arena_bytes, lower_bound, plan
from mico_runner.codegen.policy import KernelPolicy
from mico_runner.codegen.program import Call, Choice, EarlyEnd, Program, Weights
from mico_runner.codegen.streaming import SCHEDULES, Streamed, as_row, requests, root_of, stream
from mico_runner.errors import StepError, UnknownName
from mico_runner.ops import OPERATORS, operator
from mico_runner.ops.c import Buffer, ConvGeometry, Fields, same_order
from mico_runner.ops.reach import Reach
from mico_runner.quant.qgraph import INPUT_BITS, Exit, QGraph, QNode, QType

_C_KEYWORDS = """auto break case char const continue default do double else enum extern float for goto if inline int long
register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while"""
_CMAKE_TARGETS = "all clean edit_cache help install package package_source preinstall rebuild_cache test"
_BUILDS = "bare boards host rtl rv32 stack"  # what lies beside the objects of a build
_TAKEN = {*_C_KEYWORDS.split(), *_CMAKE_TARGETS.split(), *_BUILDS.split(), "main", "input", "output", "arena"}


def lower(graph: QGraph, policy: KernelPolicy, schedule: str = "layers", max_macs: float = 1.0) -> Program:
    """Lower and plan a graph, by the kernels of a policy.

    Args:
        schedule: of `streaming.SCHEDULES`: layer by layer, or in the order of least memory, some layers row by row.
        max_macs: products that the order of least memory may compute, relative to the network's.

    Raises:
        UnknownName: for a schedule that does not exist.
        StepError: naming the node, when it has no kernel or breaks a bound of `quant.qgraph`.
    """
    if schedule not in SCHEDULES:
        raise UnknownName("codegen schedule", schedule, SCHEDULES)
    graph = replace(graph, nodes=_needed(graph))
    for node in graph.nodes:
        if node.op not in OPERATORS.entries:
            known = ", ".join(OPERATORS.names())
            raise StepError(f"codegen: node {node.name!r}: no kernel for operator {node.op!r}; there are {known}")
    lowering = Lowering(graph, policy)
    for node in graph.nodes:
        check(graph, node)
        lowering.add(node)
    lowering.finish()
    kept = {buffer.name for buffer in lowering.kept_buffers}
    streamed = Streamed(lowering.calls, (), {}, 0)
    if schedule == "rows":
        if graph.exits:
            raise StepError("codegen: a network with exits runs layer by layer; allowed: schedule layers")
        streamed = stream(graph, lowering.calls, lowering.one_row, kept, max_macs)
    requested = [request for request in requests(streamed) if request.name not in kept]
    placed = {place.tensor: place for place in plan(requested)}
    memory = [*placed.values(), *_lying_in(streamed, placed)]
    rows = {call.node for stage in streamed.stages for call in streamed.calls[stage.first : stage.last + 1]}
    planned, end = arena_bytes(memory), arena_bytes(memory)
    for buffer in lowering.kept_buffers:
        memory.append(Placement(buffer.name, end, buffer.bytes, 0, len(lowering.calls) - 1))
        end = arena_bytes(memory)
    return Program(
        name=identifier(graph.name, set()),
        inputs=tuple(lowering.inputs.values()),
        outputs=tuple(lowering.outputs[tensor] for tensor in graph.outputs),
        exits=tuple(lowering.exit(each) for each in graph.exits),
        calls=tuple(streamed.calls),
        memory=memory,
        arena_bytes=end,
        kept_bytes=end - planned,
        lower_bound=lower_bound(requested) + end - planned,
        choices=tuple(lowering.row_choices.get(c.layer, c) if c.layer in rows else c for c in lowering.choices),
        stages=streamed.stages,
        predicted_arena_bytes=streamed.ram + end - planned if schedule == "rows" else None,
    )


class Lowering:
    """The program while nodes are lowered one by one: the `ops.c.Lowerer` that operators add their calls to."""

    def __init__(self, graph: QGraph, policy: KernelPolicy) -> None:
        self.graph = graph
        self.policy = policy
        self.dot_unit = policy.dot_unit
        self.calls: list[Call] = []
        self.choices: list[Choice] = []
        self.kept_buffers: list[Buffer] = []
        self.row_choices: dict[str, Choice] = {}
        self._names: set[str] = set()
        self.inputs, self.outputs = self._ends("input", graph.inputs), self._ends("output", graph.answers)
        self.where: dict[str, Buffer] = dict(self.inputs)
        self._direct = self._written_directly()

    def add(self, node: QNode) -> None:
        operator(node.op).lower(self, node)

    def finish(self) -> None:
        """Copy the results to the caller's outputs, unless calls have written them there."""
        for tensor, output in self.outputs.items():
            result = self.where[tensor]
            if result.name != output.name:
                self.permute(f"{tensor}_copy", tensor, result, output, 1)

    def exit(self, wanted: Exit) -> EarlyEnd:
        """Where the program may end: behind the call that writes the exit's scores. Raises StepError: there is none."""
        (maker,) = [node.name for node in self.graph.nodes if node.output == wanted.tensor]
        writers = [i for i, call in enumerate(self.calls) if call.node == maker and call.output.place == "output"]
        if not writers:
            raise StepError(f"codegen: no call writes the scores of exit {wanted.tensor!r} where the answer is")
        return EarlyEnd(writers[-1], self.outputs[wanted.tensor], wanted.margin)

    def one_row(
        self, node: QNode, call: Call, reach: Reach, widths: tuple[int, ...] = (), width: int = 0
    ) -> Call | None:
        """As `streaming.RowOf`."""
        rows = [min(reach.extent[0], b.shape[1]) if reach.elementwise else reach.extent[0] for b in call.inputs]
        across = widths or tuple(b.shape[2] for b in call.inputs)
        read = [as_row(*about) for about in zip(call.inputs, rows, across, strict=True)]
        made = as_row(call.output, 1, width or call.output.shape[2])
        shapes = dict(zip((*node.inputs, node.output), (*read, made), strict=True))
        tensors = {t: replace(self.graph.tensors[t], shape=shapes[t].shape) for t in shapes}
        row = Lowering(replace(self.graph, nodes=(), tensors=self.graph.tensors | tensors), self.policy)
        row.where = dict(zip(node.inputs, read, strict=True))
        row._direct = {node.output: made} if made.place == "output" else {}
        operator(node.op).lower(row, operator(node.op).one_row(node, strip=bool(widths)))
        if len(row.calls) != 1:
            return None
        self.row_choices |= {choice.layer: choice for choice in row.choices}
        return replace(row.calls[0], name=call.name, inputs=call.inputs, output=call.output)

    def buffer_of(self, tensor: str) -> Buffer:
        return self.where[tensor]

    def target(self, node: QNode) -> Buffer:
        tensor = self.graph.tensors[node.output]
        output = self._direct.get(node.output)
        place, name = ("output", output.name) if output else ("arena", self.unique(f"{node.name}_out"))
        buffer = Buffer(name, tensor.shape, tensor.type, place)
        self.where[node.output] = buffer
        return buffer

    def temporary(self, name: str, like: Buffer, shape: tuple[int, ...]) -> Buffer:
        return Buffer(self.unique(name), shape, like.type, "arena")

    def kept(self, name: str, size: int) -> Buffer:
        buffer = Buffer(self.unique(name), (size,), QType(INPUT_BITS, False, 1.0), "arena")
        self.kept_buffers.append(buffer)
        return buffer

    def emit(
        self,
        node: QNode,
        kernel: str,
        inputs: Sequence[Buffer],
        output: Buffer,
        fields: Fields,
        rows: np.ndarray | None = None,
        tables: Mapping[str, np.ndarray] | None = None,
        scratch_words: int | None = None,
    ) -> None:
        weights = None if rows is None else Weights.of(node, rows)
        more = {"tables": dict(tables or {}), "scratch_words": scratch_words}
        self._call(node, kernel, inputs, output, fields, weights, **more)

    def _call(
        self,
        node: QNode,
        kernel: str,
        inputs: Sequence[Buffer],
        output: Buffer,
        fields: Fields,
        weights: Weights | None = None,
        **more: Any,
    ) -> None:
        self.calls.append(
            Call(
                kernel,
                self.unique(node.name),
                node.name,
                tuple(inputs),
                output,
                fields,
                weights,
                **more,
                at_some_bits=operator(node.op).BETWEEN,
            )
        )

    def emit_convolution(
        self, node: QNode, source: Buffer, output: Buffer, geometry: ConvGeometry, rows: np.ndarray
    ) -> bool:
        choice = self.policy.choose(node, rows, geometry, source, output)
        self.choices.append(choice)
        if (form := choice.form) is None:
            return False
        more = {"variant": form.variant, "unit": form.unit, "scratch_words": form.scratch_words}
        self._call(node, form.kernel, [source], output, form.fields, form.weights, **more)
        return True

    def permute(self, name: str, node: str, source: Buffer, target: Buffer, rows: int) -> None:
        """Write the transpose of `source`, seen as (rows, columns), into `target`. Raises StepError: it is an input of 16 bits."""
        if source.tag == "MICO_S16":
            raise StepError(
                f"codegen: node {node!r} moves elements of an input of 16 bits; allowed: shapes that leave them in their order"
            )
        fields = {"rows": rows, "columns": source.size // rows, "input": source.tag, "output": target.tag}
        self.calls.append(Call("transpose", self.unique(name), node, (source,), target, fields))

    def row_major(self, node: QNode, source: Buffer) -> Buffer:
        flat = replace(source, shape=(source.size,))
        if same_order(source.shape, flat.shape):
            return flat
        target = self.temporary(f"{node.name}_row_major", source, flat.shape)
        self.permute(f"{node.name}_to_row_major", node.name, source, target, source.size // source.shape[0])
        return target

    def from_row_major(self, node: QNode, source: Buffer, target: Buffer) -> None:
        rows = target.shape[0] if len(target.shape) == 3 else 1
        self.permute(f"{node.name}_from_row_major", node.name, source, target, rows)

    def unique(self, name: str) -> str:
        return identifier(name, self._names)

    def any_order(self, tensor: str) -> bool:
        readers = [n for n in self.graph.nodes if tensor in n.inputs]
        return tensor not in self.graph.answers and bool(readers) and all(operator(n.op).ANY_ORDER for n in readers)

    def _ends(self, place: str, tensors: tuple[str, ...]) -> dict[str, Buffer]:
        """The caller's buffers: one is called as its place, several inputs as themselves, several outputs are numbered."""
        if len(tensors) == 1:
            names = [place]
        elif place == "output" and self.graph.exits:
            names = [place] * len(tensors)  # each writes the one answer
        elif place == "input":
            names = [self.unique(tensor) for tensor in tensors]
        else:
            names = [self.unique(f"{place}_{i + 1}") for i in range(len(tensors))]
        known = [self.graph.tensors[tensor] for tensor in tensors]
        return {t: Buffer(name, q.shape, q.type, place) for t, name, q in zip(tensors, names, known, strict=True)}

    def _written_directly(self) -> dict[str, Buffer]:
        """Tensors that lie in the caller's outputs: the graph's outputs and what they are mere reshapes of.

        None of an output that is an input, reshaped.
        """
        producers, found = {n.output: n for n in self.graph.nodes}, dict(self.outputs)
        for tensor, buffer in self.outputs.items():
            chain = [tensor]
            while (node := producers.get(chain[-1])) and operator(node.op).VIEW:
                if not same_order(self.graph.tensors[node.inputs[0]].shape, self.graph.tensors[node.output].shape):
                    break
                chain.append(node.inputs[0])
            if chain[-1] in self.graph.inputs:
                del found[tensor]
            elif not set(chain[1:]) & set(found):
                found |= dict.fromkeys(chain, buffer)
        return found


def identifier(name: str, taken: set[str]) -> str:
    """A C identifier for `name` that is not `taken`; it is added there."""
    base = re.sub(r"\W", "_", name, flags=re.ASCII)
    if not re.match(r"(?!mico|mem|str|int|uint)[A-Za-z]", base, re.IGNORECASE) or base.endswith("_t"):
        base = f"n_{base}"  # else it could meet a name of the kernels or of a C header
    found, count = base, 1
    while found in taken or found in _TAKEN:
        count += 1
        found = f"{base}_{count}"
    taken.add(found)
    return found


def _needed(graph: QGraph) -> tuple[QNode, ...]:
    """The nodes that the outputs depend on."""
    wanted, nodes = set(graph.answers), []
    for node in reversed(graph.nodes):
        if node.output in wanted:
            wanted |= set(node.inputs)
            nodes.append(node)
    return tuple(reversed(nodes))


def _lying_in(streamed: Streamed, placed: Mapping[str, Placement]) -> list[Placement]:
    """Where buffers lie that are in the memory of others, and for which calls."""
    found = []
    for name in streamed.lies_in:
        using = [i for i, call in enumerate(streamed.calls) if name in {b.name for b in (*call.inputs, call.output)}]
        (size,) = {
            b.bytes for i in using for b in (*streamed.calls[i].inputs, streamed.calls[i].output) if b.name == name
        }
        root = placed[root_of(name, streamed.lies_in)]
        found.append(Placement(name, root.offset, size, using[0], using[-1]))
    return found
