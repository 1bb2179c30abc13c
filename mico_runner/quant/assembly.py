"""Puts an integer graph together: which bits each tensor is stored at, and the integer factors between them.

A tensor is stored at the most bits that any reader wants: a weighted layer its activation bits, add / avg_pool / concat / a lone ReLU
8, the network's output 16; max_pool and reshape pass on what their own readers want. Who wants fewer bits than are stored gets a
`requant` node, shared by all readers of the same bits. The network's input is always stored at 8 bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from mico_runner.errors import StepError
from mico_runner.graph.ir import WEIGHTED, Graph, Node
from mico_runner.quant.bias import settle
from mico_runner.quant.fixed_point import multiplier_and_shift, shared_shift
from mico_runner.quant.qgraph import OUTPUT_BITS, Assignment, LayerBits, QGraph, QNode, QTensor, QType

INPUT_BITS = 8  # of the network's input, and of what operators without weights read
ACCUMULATOR_LIMIT = 2**31
PASS_THROUGH = ("max_pool2d", "reshape")  # the integers of the output are integers of the input
FUSES_RELU = (*WEIGHTED, "add")

ChooseType = Callable[[str, int], QType]
QuantisedWeights = Callable[[str, LayerBits, QType], tuple[np.ndarray, np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Step:
    """A node to be quantised; with a fused ReLU `output` is the ReLU's tensor. `top` is the limit of a ReLU6."""

    node: Node
    output: str
    top: float | None = None


def fuse_relu(graph: Graph) -> list[Step]:
    """The nodes, with every ReLU that alone reads the output of a convolution, linear layer or sum folded into it."""
    steps: dict[str, Step] = {}
    for node in graph.nodes:
        step = Step(node, node.output, node.attrs.get("max"))
        before = steps.get(node.inputs[0])
        if node.op == "relu" and before is not None and _alone(graph, before.output) and before.node.op in FUSES_RELU:
            del steps[before.output]
            tops = [t for t in (before.top, step.top) if t is not None]
            step = Step(before.node, node.output, min(tops, default=None))
        steps[step.output] = step
    return list(steps.values())


def lone_relus(graph: Graph) -> list[Node]:
    """The ReLUs that no node before them can take in: they become `requant` nodes."""
    return [step.node for step in fuse_relu(graph) if step.node.op == "relu"]


def _alone(graph: Graph, tensor: str) -> bool:
    """Whether one node reads the tensor and it is not the network's output."""
    return len(graph.consumers(tensor)) == 1 and tensor != graph.output


def wanted_bits(graph: Graph, steps: list[Step], assignment: Assignment) -> dict[str, int]:
    """The most bits that any reader of each tensor wants."""
    wanted = dict.fromkeys(graph.shapes, 0)
    wanted[graph.output] = OUTPUT_BITS
    for step in reversed(steps):
        node = step.node
        bits = wanted[step.output] if node.op in PASS_THROUGH else INPUT_BITS
        if node.op in WEIGHTED:
            bits = int(assignment[node.name][1])
        for tensor in node.inputs:
            wanted[tensor] = max(wanted[tensor], bits)
    return wanted


def read_whole(graph: Graph) -> dict[str, str]:
    """Weighted layers whose input is stored at `INPUT_BITS` whatever bits anything has, and that tensor.

    With fewer activation bits such a layer reads a copy that a `requant` node makes, `<tensor>.to<bits>`.
    """
    steps = fuse_relu(graph)
    wanted = wanted_bits(graph, steps, {node.name: LayerBits(1, 1) for node in graph.weighted})
    stored, found = {graph.input: INPUT_BITS}, {}
    for step in steps:
        source = step.node.inputs[0]
        stored[step.output] = stored[source] if step.node.op in PASS_THROUGH else wanted[step.output]
        if step.node.op in WEIGHTED and stored[source] >= INPUT_BITS:
            found[step.node.name] = source
    return found


def last_of_chain(graph: Graph, tensor: str) -> str:
    """The tensor whose values decide the scale: behind the pools and reshapes that alone read this one."""
    while _alone(graph, tensor) and (reader := graph.consumers(tensor)[0]).op in PASS_THROUGH:
        tensor = reader.output
    return tensor


class Assembly:
    """One integer graph in the making."""

    def __init__(
        self,
        graph: Graph,
        steps: list[Step],
        assignment: Assignment,
        choose_type: ChooseType,
        weights: QuantisedWeights,
    ) -> None:
        self.graph, self.steps, self.assignment = graph, steps, assignment
        self.choose_type, self.weights = choose_type, weights
        self.wanted = wanted_bits(graph, steps, assignment)
        self.nodes: list[QNode] = []
        self.tensors: dict[str, QTensor] = {}

    def build(self) -> QGraph:
        start = self.graph.input
        self._declare(start, self.choose_type(start, INPUT_BITS))
        for step in self.steps:
            if step.node.op in WEIGHTED:
                self._weighted(step)
            elif step.node.op in PASS_THROUGH:
                tensor = step.node.inputs[0]
                self._declare(step.output, self.tensors[tensor].type)
                self._emit(step, (tensor,))
            else:
                self._weightless(step)
        return QGraph(self.graph.name, start, self.graph.output, tuple(self.nodes), self.tensors)

    def _weighted(self, step: Step) -> None:
        node, bits = step.node, LayerBits(*self.assignment[step.node.name])
        tensor = self._read(node.inputs[0], bits.activation)
        read, made = self.tensors[tensor].type, self._made(step)
        weight, scales, real_bias = self.weights(node.name, bits, read)
        weight, scales, bias = settle(weight, scales, real_bias, bits.weight, read, made)
        taps = weight[0].size
        top = np.abs(weight.reshape(len(weight), -1).astype(np.int64)).max(1) * taps * max(-read.qmin, read.qmax)
        worst = int((np.abs(bias) + top).max())
        if worst >= ACCUMULATOR_LIMIT:
            raise StepError(
                f"layer {node.name!r}: its int32 accumulator could reach {worst} (limit {ACCUMULATOR_LIMIT - 1}) with {taps} taps,"
                f" {bits.weight}-bit weights and {read.bits}-bit activations; choose fewer bits"
            )
        multiplier, shift = multiplier_and_shift(read.scale * scales / made.scale)
        self.nodes.append(
            QNode(
                node.name,
                node.op,
                (tensor,),
                step.output,
                node.attrs,
                weight=weight,
                weight_bits=bits.weight,
                weight_scale=scales,
                bias=bias.astype(np.int32),
                multiplier=multiplier,
                shift=shift,
            )
        )

    def _weightless(self, step: Step) -> None:
        node = step.node
        inputs = tuple(self._read(t, INPUT_BITS) for t in node.inputs)
        factors = np.array([self.tensors[t].type.scale for t in inputs]) / self._made(step).scale
        if node.op == "avg_pool2d":
            factors = factors / (node.attrs["kernel"][0] * node.attrs["kernel"][1])
        multiplier, shift = shared_shift(factors) if node.op == "add" else multiplier_and_shift(factors)
        if node.op == "relu":  # the unsigned type of its output does the clamping
            step = replace(step, node=replace(node, op="requant", attrs={}))
        self._emit(step, inputs, multiplier, shift)

    def _made(self, step: Step) -> QType:
        """Declare the output of a step that requantises, and return its type."""
        made = self.choose_type(step.output, self.wanted[step.output])
        if step.top is not None:  # no integer of the type lies above the ReLU6's limit
            made = replace(made, scale=min(made.scale, step.top / made.qmax))
        self._declare(step.output, made)
        return made

    def _read(self, tensor: str, bits: int) -> str:
        """The tensor at no more than these bits."""
        stored = self.tensors[tensor].type
        if stored.bits <= bits:
            return tensor
        name = f"{tensor}.to{bits}"
        if name not in self.tensors:
            made = self.choose_type(tensor, bits)
            self.tensors[name] = QTensor(self.tensors[tensor].shape, made)
            multiplier, shift = multiplier_and_shift(np.array([stored.scale / made.scale]))
            self.nodes.append(QNode(name, "requant", (tensor,), name, multiplier=multiplier, shift=shift))
        return name

    def _declare(self, tensor: str, qtype: QType) -> None:
        self.tensors[tensor] = QTensor(self.graph.shapes[tensor], qtype)

    def _emit(
        self,
        step: Step,
        inputs: tuple[str, ...],
        multiplier: np.ndarray | None = None,
        shift: np.ndarray | None = None,
    ) -> None:
        node = step.node
        made = QNode(node.name, node.op, inputs, step.output, node.attrs, multiplier=multiplier, shift=shift)
        self.nodes.append(made)
