"""An integer network that is trained: quantisation-aware training of what is deployed.

In training mode its tensors and weights are real values on the grids of the assignment's types, and gradients reach weights, biases
and steps (`quant.fake`). In evaluation mode it is the integer network itself, so that every quality that is reported of it, and by
which an epoch is kept, is that of the integers. What training knows as nearest integers is deployed as it is: nothing is rounded again
but biases and the factors between steps, as in every integer network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mico_runner.graph.fusion import FusedNode
from mico_runner.graph.ir import Node, weight_of
from mico_runner.ops import operator
from mico_runner.quant.calibration import NOTHING
from mico_runner.quant.executor import Executor
from mico_runner.quant.fake import on_grid, on_signs
from mico_runner.quant.qgraph import INPUT_BITS, Assignment, LayerBits, QGraph, QNode, QType, weights_of
from mico_runner.quant.reference import dequantize_output, quantize_input
from mico_runner.quant.rounding.base import Calibrated
from mico_runner.quant.weights import weight_range

INSIDE = 0.01  # steps within which a weight keeps its integer at the start
TypeKey = tuple[str, int]  # a tensor and the bits at which it is stored


class _Stored(NamedTuple):
    """What decides a stored tensor's step: `PTQ.like` of it, and the top of a ReLU6."""

    key: TypeKey
    top: float | None = None


class _Layer(NamedTuple):
    """Where a weighted layer's parameters are, their units, and what its weights are allowed to be.

    Parameters count in what is usual for the layer, so that one learning rate fits all: weights in their root mean square, biases in
    the spread of the outputs, steps as logarithms.
    """

    at: int
    bits: float
    live: Tensor  # bool (Cout,): channels that have weights
    of_weight: float
    of_bias: float


class Trainable(nn.Module):
    """The network of a quantiser at an assignment, as a module (N, ...) -> (N, ...) whose parameters can be trained.

    Args:
        ptq: its steps and its float weights are where training begins.
        assignment: bits of every weighted layer.
        from_integers: training begins with weights that round to the integers of `ptq`, and with its biases.

    Attributes:
        seen: what `values` gave for the last batch in training mode.

    Raises UsageError or StepError as `PTQ.quantize` does.
    """

    def __init__(self, ptq: Calibrated, assignment: Assignment, *, from_integers: bool = False) -> None:
        super().__init__()
        self._ptq, self._assignment = ptq, assignment
        self._types: dict[TypeKey, QType] = {}
        self._begin = ptq.assembled(assignment, self._noted, ptq.weights_at)
        self._steps = {step.output: step for step in ptq.steps}
        made_by = {node.output: node for node in self._begin.nodes}
        self._read = {output: _read(made_by[output], step, made_by) for output, step in self._steps.items()}
        self._layers: dict[str, _Layer] = {}
        self.weight, self.bias, self.step = nn.ParameterList(), nn.ParameterList(), nn.ParameterList()
        for node in self._begin.nodes:
            if node.weight_bits is not None:
                self._add_layer(node, from_integers)
        self._stored = {tensor: _Stored(ptq.like(tensor, INPUT_BITS)) for tensor in self._begin.inputs}
        for node in self._begin.nodes:
            self._stored[node.output] = self._stored_by(node)
        stated = {(tensor, INPUT_BITS) for tensor in self._begin.inputs}
        trained = {ptq.like(*key): kind for key, kind in self._types.items() if key not in stated and _is_trained(kind)}
        self._scales = {key: at for at, key in enumerate(trained)}
        self.scale = nn.ParameterList(torch.tensor([math.log(kind.scale)]) for kind in trained.values())
        self._executor: Executor | None = None
        self.seen: dict[str, Tensor] = {}

    def _noted(self, tensor: str, bits: int) -> QType:
        found = self._types[tensor, bits] = self._ptq.type_at(tensor, bits)
        return found

    def _add_layer(self, node: QNode, from_integers: bool) -> None:
        real = self._steps[node.output].node
        integers, _ = weights_of(node)
        scales = np.asarray(node.weight_scale, np.float64)
        live = np.ones(len(scales), bool) if node.weight_bits == 1 else integers.reshape(len(scales), -1).any(1)
        weight = weight_of(real)
        live &= weight.reshape(len(scales), -1).any(1)
        of_weight = float(np.sqrt((weight.astype(np.float64) ** 2).mean())) or 1.0
        of_bias = self._ptq.spread(node.output) or 1.0
        bits = float(node.weight_bits or 0)
        self._layers[node.name] = _Layer(len(self.weight), bits, torch.from_numpy(live), of_weight, of_bias)
        bias = np.zeros(len(scales), np.float32) if real.bias is None else real.bias
        if from_integers:
            weight = _rounding_to(integers, weight, scales, bits)
            bias = node.constants["bias"] * scales * self._begin.tensors[node.inputs[0]].type.scale
        self.weight.append(torch.from_numpy((weight / of_weight).astype(np.float32)))
        self.bias.append(torch.from_numpy((bias / of_bias).astype(np.float32)))
        self.step.append(torch.from_numpy(np.log(np.where(live, scales, 1.0)).astype(np.float32)))

    def _stored_by(self, node: QNode) -> _Stored:
        step, bits = self._steps.get(node.output), self._begin.tensors[node.output].type.bits
        if step is None:  # a copy at fewer bits, or a tensor within a step
            return _Stored(self._ptq.like(node.inputs[0], bits))
        if operator(step.node.op).KEEPS_TYPE:
            return self._stored[node.inputs[0]]
        return _Stored(self._ptq.like(step.output, bits), step.top)

    def train(self, mode: bool = True) -> Trainable:
        self._executor, self.seen = None, {}
        return super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return self._integers(x)
        self.seen = self.values([x])
        return self.seen[self._begin.output]

    def _integers(self, x: Tensor) -> Tensor:
        self._executor = self._executor or Executor(self.deployed())
        of = self._executor.qgraph
        found = self._executor.run(quantize_input(of, x.numpy()))
        return torch.from_numpy(dequantize_output(of, found).astype(np.float32))

    def deployed(self) -> QGraph:
        """The integer network as it is trained so far."""
        return self._ptq.assembled(self._assignment, self._type_at, self._weights_at)

    def _type_at(self, tensor: str, bits: int) -> QType:
        kind, at = self._ptq.type_at(tensor, bits), self._scales.get(self._ptq.like(tensor, bits))
        return kind if at is None else replace(kind, scale=float(self.scale[at].detach().exp()))

    def _weights_at(self, name: str, _bits: LayerBits, _read: QType) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        layer = self._layers[name]
        with torch.no_grad():
            weight, step, bias = self._real(layer)
            integers = on_signs(weight, torch.ones(1)) if layer.bits == 1 else _integers_of(weight, step, layer.bits)
        live = layer.live.numpy() & integers.numpy().reshape(len(integers), -1).any(1)
        scales = np.where(live, step.double().numpy(), 0.0)
        return integers.numpy().astype(np.int8), scales, bias.double().numpy()

    def _real(self, layer: _Layer) -> tuple[Tensor, Tensor, Tensor]:
        """Weights before they are rounded, their steps (Cout,), biases."""
        at = layer.at
        return self.weight[at] * layer.of_weight, self.step[at].exp(), self.bias[at] * layer.of_bias

    def values(self, inputs: Sequence[Tensor]) -> dict[str, Tensor]:
        """Every tensor of the integer network as the real values that its integers stand for, with gradients."""
        given = zip(self._begin.inputs, inputs, strict=True)
        values = {tensor: self._rounded(_channels_last(x), tensor) for tensor, x in given}
        for node in self._begin.nodes:
            step = self._steps.get(node.output)
            if step is not None:
                values[node.output] = self._computed(step, node, values)
            elif operator(node.op).BETWEEN:
                values[node.output] = self._rounded(values[node.inputs[0]], node.output)
        return values

    def _computed(self, step: FusedNode, node: QNode, values: dict[str, Tensor]) -> Tensor:
        """The output of a step, on the grid of its type unless its operator keeps that of its input."""
        names = self._read[node.output]
        real = step.node if node.weight_bits is None else self._on_grid(step.node, names[0])
        found = operator(real.op).real(real, [values[name] for name in names])
        return found if operator(real.op).KEEPS_TYPE else self._rounded(found, step.output)

    def _on_grid(self, node: Node, read: str) -> Node:
        """A weighted node with its weights and biases, as integers stand for them."""
        layer = self._layers[node.name]
        weight, step, bias = self._real(layer)
        weight = on_signs(weight, step) if layer.bits == 1 else on_grid(weight, step, *weight_range(layer.bits))
        weight = weight * layer.live.view(-1, *[1] * (weight.ndim - 1))
        unit = (self._scale(read) * step).detach()
        with torch.no_grad():
            rest = torch.where(layer.live, torch.div(bias, unit).add_(0.5).floor_() * unit - bias, 0.0)
        return replace(node, weight=weight, bias=bias + rest)  # type: ignore[arg-type]  # torch's stand for numpy's

    def _rounded(self, x: Tensor, tensor: str) -> Tensor:
        kind = self._begin.tensors[tensor].type
        if kind.scale == NOTHING:
            return torch.zeros_like(x)
        scale = self._scale(tensor)
        return on_signs(x, scale) if kind.is_sign else on_grid(x, scale, kind.qmin, kind.qmax)

    def _scale(self, tensor: str) -> Tensor:
        """Of a stored tensor, (1,)."""
        stored = self._stored[tensor]
        kind, at = self._begin.tensors[tensor].type, self._scales.get(stored.key)
        scale = torch.tensor([kind.scale]) if at is None else self.scale[at].exp()
        return scale if stored.top is None else scale.clamp(max=stored.top / kind.qmax)


def _rounding_to(integers: np.ndarray, weight: np.ndarray, scales: np.ndarray, bits: float) -> np.ndarray:
    """The values nearest to the weights that training rounds to these integers."""
    step, (low, high) = scales.reshape(-1, *[1] * (weight.ndim - 1)), weight_range(bits)
    if bits == 1:
        kept: np.ndarray = np.where(weight * integers > 0, weight, INSIDE * integers * step)
        return kept
    least = np.where(integers == low, -np.inf, (integers - 0.5 + INSIDE) * step)
    most = np.where(integers == high, np.inf, (integers + 0.5 - INSIDE) * step)
    nearest: np.ndarray = np.clip(weight, least, most)
    return nearest


def _channels_last(x: Tensor) -> Tensor:
    """Images with their channels together, whose gradients most convolutions compute faster."""
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x


def _is_trained(kind: QType) -> bool:
    """Steps of 16 bits lose nothing worth training, one of nothing has no value to say."""
    return kind.bits <= INPUT_BITS and kind.scale != NOTHING


def _integers_of(weight: Tensor, step: Tensor, bits: float) -> Tensor:
    by_row = step.view(-1, *[1] * (weight.ndim - 1))
    return torch.div(weight, by_row).add_(0.5).floor().clamp_(*weight_range(bits))


def _read(node: QNode, step: FusedNode, makers: dict[str, QNode]) -> list[str]:
    """The tensors that the integer node of a step reads, in the order of the step's own: themselves, or copies at fewer bits."""
    seen, new = set[str](), list(node.inputs)
    while new:
        tensor = new.pop()
        seen.add(tensor)
        if tensor in makers and tensor not in step.node.inputs:
            new += makers[tensor].inputs
    found = []
    for tensor in step.node.inputs:
        copies = [
            name
            for name in seen
            if name in makers and operator(makers[name].op).BETWEEN and makers[name].inputs == (tensor,)
        ]
        found.append(copies[0] if copies else tensor)
    return found
