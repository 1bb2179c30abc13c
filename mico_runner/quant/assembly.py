"""Puts an integer graph together: which bits each tensor is stored at, and the integer factors between them.

A tensor is stored at the most bits that any reader requests: a weighted layer its activation bits, operators without weights 8, or 16
where `quant.wide` says so, the network's output 16; operators that keep the type, as pools of maxima and reshapes, pass on what their
own readers request. A reader of fewer bits than are stored gets a `requant` node, shared by all readers of the same bits. The network's
input is stored at 8 bits, or as the operators say that read it (`Operator.input_type`).
"""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import replace
from typing import Any

import numpy as np

from mico_runner.errors import StepError
from mico_runner.graph.fusion import FusedNode, alone, fused
from mico_runner.graph.ir import Graph, Node
from mico_runner.ops import operator
from mico_runner.ops.arithmetic import multiplier_and_shift
from mico_runner.quant.bias import settle
from mico_runner.quant.qgraph import INPUT_BITS, OUTPUT_BITS, Assignment, LayerBits, QGraph, QNode, QTensor, QType

ACCUMULATOR_LIMIT = 2**31

ChooseType = Callable[[str, int], QType]
QuantisedWeights = Callable[[str, LayerBits, QType], tuple[np.ndarray, np.ndarray, np.ndarray]]


def requested_bits(graph: Graph, steps: list[FusedNode], assignment: Assignment) -> dict[str, int]:
    """The most bits that any reader requests of each tensor."""
    wanted = dict.fromkeys(graph.shapes, 0)
    wanted |= dict.fromkeys(graph.outputs, OUTPUT_BITS)
    for step in reversed(steps):
        node = step.node
        for at, tensor in enumerate(node.inputs):
            bits = operator(node.op).requested_bits(node, wanted[step.output], at)
            if node.weight is not None:
                bits = int(assignment[node.name][1])
            wanted[tensor] = max(wanted[tensor], bits)
    return wanted


def reads_8_bits(graph: Graph) -> dict[str, str]:
    """Weighted layers whose input is stored at `INPUT_BITS` whatever bits are assigned, and that tensor.

    With fewer activation bits such a layer reads a copy that a `requant` node makes, `<tensor>.to<bits>`.
    """
    steps = fused(graph)
    wanted = requested_bits(graph, steps, {node.name: LayerBits(1, 1) for node in graph.weighted})
    stored, found = dict.fromkeys(graph.inputs, INPUT_BITS), dict[str, str]()
    for step in steps:
        source = step.node.inputs[0]
        stored[step.output] = stored[source] if operator(step.node.op).KEEPS_TYPE else wanted[step.output]
        if step.node.weight is not None and stored[source] >= INPUT_BITS:
            found[step.node.name] = source
    return found


def last_of_chain(graph: Graph, tensor: str) -> str:
    """The tensor whose values decide the scale: behind what keeps the type (pools, reshapes) and alone reads this one."""
    while alone(graph, tensor) and operator((reader := graph.consumers(tensor)[0]).op).KEEPS_TYPE:
        tensor = reader.output
    return tensor


def seen_by(graph: Graph, tensor: str) -> list[Node]:
    """The nodes that compute with a tensor, or with a view of it."""
    found = []
    for node in graph.consumers(tensor):
        found += seen_by(graph, node.output) if operator(node.op).VIEW else [node]
    return found


def whole_numbers(low: int, high: int) -> QType:
    """The type of whole numbers from `low` to `high`: themselves."""
    bits = max(high.bit_length(), (-1 - low).bit_length() if low < 0 else 0)
    return QType(max(INPUT_BITS, bits + (low < 0)), low < 0, 1.0)


class Assembly:
    """One integer graph in the making: the `ops.base.Quantiser` that operators add their nodes to."""

    def __init__(
        self,
        graph: Graph,
        steps: list[FusedNode],
        assignment: Assignment,
        choose_type: ChooseType,
        weights: QuantisedWeights,
        wide: Set[str],
    ) -> None:
        self.graph, self.steps, self.assignment = graph, steps, assignment
        self.choose_type, self.quantised_weights = choose_type, weights
        self.wanted = requested_bits(graph, steps, assignment) | dict.fromkeys(wide, OUTPUT_BITS)
        self.nodes: list[QNode] = []
        self.tensors: dict[str, QTensor] = {}

    def build(self) -> QGraph:
        for start in self.graph.inputs:
            self._declare(start, self._input_type(start))
        for step in self.steps:
            operator(step.node.op).quantise(self, step)
        return QGraph(self.graph.name, self.graph.inputs, self.graph.outputs, tuple(self.nodes), self.tensors)

    def _input_type(self, start: str) -> QType:
        if count := self.graph.vocabularies.get(start):
            return whole_numbers(0, count - 1)
        readers = seen_by(self.graph, start)
        stated = {operator(node.op).input_type(node) for node in readers}
        if len(stated) > 1:
            known = ", ".join(f"{node.name!r} ({node.op}): {operator(node.op).input_type(node)}" for node in readers)
            raise StepError(f"input {start!r} is read as integers of several types: {known}; allowed: one")
        return (stated.pop() if stated else None) or self.choose_type(start, INPUT_BITS)

    def bits(self, node: Node) -> LayerBits:
        return LayerBits(*self.assignment[node.name])

    def type_of(self, tensor: str) -> QType:
        return self.tensors[tensor].type

    def shape_of(self, tensor: str) -> tuple[int, ...]:
        return self.tensors[tensor].shape

    def weights(self, step: FusedNode, bits: LayerBits, read: QType, made: QType) -> dict[str, object]:
        name = step.node.name
        weight, scales, real_bias = self.quantised_weights(name, bits, read)
        weight, scales, bias = settle(weight, scales, real_bias, bits.weight, read, made)
        taps = weight[0].size
        top = np.abs(weight.reshape(len(weight), -1).astype(np.int64)).max(1) * taps * max(-read.qmin, read.qmax)
        worst = int((np.abs(bias) + top).max())
        if worst >= ACCUMULATOR_LIMIT:
            raise StepError(
                f"layer {name!r}: its int32 accumulator could reach {worst} (limit {ACCUMULATOR_LIMIT - 1}) with {taps} taps,"
                f" {bits.weight}-bit weights and {read.bits}-bit activations; choose fewer bits"
            )
        constants = {"weight": weight, "bias": bias.astype(np.int32)}
        constants |= multiplier_and_shift(read.scale * scales / made.scale)
        return {"constants": constants, "weight_bits": bits.weight, "weight_scale": scales}

    def made(self, step: FusedNode) -> QType:
        if known := self.graph.whole.get(step.output):
            self._declare(step.output, whole_numbers(*known[:2]))
            return self.type_of(step.output)
        made = self.choose_type(step.output, self.wanted[step.output])
        if step.top is not None:  # no integer of the type lies above the ReLU6's limit
            made = replace(made, scale=min(made.scale, step.top / made.qmax))
        self._declare(step.output, made)
        return made

    def pass_on(self, step: FusedNode, tensor: str) -> None:
        self._declare(step.output, self.tensors[tensor].type)
        self.add(step, (tensor,))

    def read(self, tensor: str, bits: int) -> str:
        stored = self.tensors[tensor].type
        if stored.bits <= bits:
            return tensor
        name = f"{tensor}.to{bits}"
        if name not in self.tensors:
            made = self.choose_type(tensor, bits)
            self.tensors[name] = QTensor(self.tensors[tensor].shape, made)
            constants = multiplier_and_shift(np.array([stored.scale / made.scale]))
            self.nodes.append(QNode(name, "requant", (tensor,), name, constants=constants))
        return name

    def add(self, step: FusedNode, inputs: tuple[str, ...], op: str = "", **fields: Any) -> None:
        node = step.node
        attrs = fields.pop("attrs", {} if op else node.attrs)
        self.nodes.append(QNode(node.name, op or node.op, inputs, step.output, attrs, **fields))

    def _declare(self, tensor: str, qtype: QType) -> None:
        self.tensors[tensor] = QTensor(self.graph.shapes[tensor], qtype)
