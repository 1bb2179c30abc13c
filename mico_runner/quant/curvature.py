"""What the bits of each layer do to the loss, by gradients: all layers and bits from one backward pass.

A layer's bits change its output by an error e, and the loss of a sample to first order by g = <gradient at the output, e>. The mean of
g_i g_j over samples is the matrix of second moments (the empirical Fisher information) between two errors: on the diagonal how sensitive a
layer is in some bits, elsewhere how two layers' errors add up or cancel. The error of weights and that of activations are added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from mico_runner.graph.ir import Graph, Node
from mico_runner.graph.run import compute, images_at_once, schedule
from mico_runner.ops.arithmetic import to_integers
from mico_runner.quant.ptq import PTQ
from mico_runner.quant.qgraph import INPUT_BITS, LayerBits
from mico_runner.tasks.base import Samples, Task

IMAGES = 256  # of the calibration images
_BATCH = 64


def curvature(ptq: PTQ, task: Task, samples: Samples, choices: Sequence[LayerBits]) -> np.ndarray:
    """(layers * choices, layers * choices) mean over samples of the products of two changes of its loss, float64.

    Args:
        samples: with their targets; at most `IMAGES` are used.
        choices: bits; layers in network order.
    """
    graph = ptq.graph
    inputs, targets = samples.floats()[:IMAGES], samples.targets[:IMAGES]
    at_once = images_at_once(graph.shapes.values(), _BATCH)
    parts = []
    for start in range(0, len(inputs), at_once):
        batch = slice(start, start + at_once)
        parts.append(_changes(ptq, task, torch.from_numpy(inputs[batch]), torch.from_numpy(targets[batch]), choices))
    changes = np.concatenate(parts)
    product: np.ndarray = changes.T @ changes / len(changes)
    return product


def _changes(ptq: PTQ, task: Task, x: torch.Tensor, targets: torch.Tensor, choices: Sequence[LayerBits]) -> np.ndarray:
    """(N, layers * choices) first-order changes of each sample's loss."""
    graph, read = ptq.graph, dict[str, torch.Tensor]()
    probes = {node.name: torch.zeros(len(x), *graph.shapes[node.output], requires_grad=True) for node in graph.weighted}
    outputs = _forward(graph, x, probes, read)
    loss = task.loss(outputs, targets, x) * len(x)  # of independent samples the sum
    gradients = torch.autograd.grad(loss, list(probes.values()))
    columns = []
    with torch.no_grad():
        for node, gradient in zip(graph.weighted, gradients, strict=True):
            by_weight = _by_weights(ptq, node, read[node.name], gradient, choices)
            by_activation = _by_activations(ptq, node, read[node.name], gradient, choices)
            columns += [by_weight[bits.weight] + by_activation[bits.activation] for bits in choices]
    return torch.stack(columns, dim=1).double().numpy()


def _forward(
    graph: Graph, x: torch.Tensor, probes: dict[str, torch.Tensor], read: dict[str, torch.Tensor]
) -> torch.Tensor:
    """The output; what weighted nodes read is noted in `read`, and their probes, zeros, are added to their outputs."""
    values = {graph.input: x.float()}
    for node, spent in schedule(graph):
        inputs = [values[tensor] for tensor in node.inputs]
        made = compute(node, inputs)
        if node.name in probes:
            read[node.name] = inputs[0].detach()
            made = made + probes[node.name]
        values[node.output] = made
        for tensor in spent:
            del values[tensor]
    return values[graph.output]


def _by_weights(
    ptq: PTQ, node: Node, x: torch.Tensor, gradient: torch.Tensor, choices: Sequence[LayerBits]
) -> dict[float, torch.Tensor]:
    """(N,) what each number of weight bits does to the loss by way of a layer's output."""
    exact, whole = compute(node, [x]), ptq.type_at(node.inputs[0], INPUT_BITS)
    levels, found = sorted({choice.weight for choice in choices}), {}
    ptq.prepare(node.name, levels, whole)
    for bits in levels:
        integers, scales, bias = ptq.weights_at(node.name, LayerBits(bits, INPUT_BITS), whole)
        real = (integers * np.asarray(scales).reshape(-1, *[1] * (integers.ndim - 1))).astype(np.float32)
        error = compute(replace(node, weight=real, bias=np.asarray(bias, np.float32)), [x]) - exact
        found[bits] = (gradient * error).flatten(1).sum(1)
    return found


def _by_activations(
    ptq: PTQ, node: Node, x: torch.Tensor, gradient: torch.Tensor, choices: Sequence[LayerBits]
) -> dict[int, torch.Tensor]:
    """(N,) likewise for activation bits. A layer is linear in what it reads, so one gradient there serves all of them."""
    tensor, levels = node.inputs[0], sorted({choice.activation for choice in choices})
    if tensor in ptq.graph.vocabularies:  # whole numbers, whatever the bits
        return {level: torch.zeros(len(x)) for level in levels}
    leaf = x.clone().requires_grad_()
    with torch.enable_grad():
        (at_input,) = torch.autograd.grad(compute(node, [leaf]), leaf, gradient)
    found = {}
    for level in levels:
        kind = ptq.type_at(tensor, level)
        rounded = torch.from_numpy((to_integers(x.numpy(), kind) * kind.scale).astype(np.float32))
        found[level] = (at_input * (rounded - x)).flatten(1).sum(1)
    return found
