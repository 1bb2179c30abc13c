"""What every quantiser must hold, and the package's own with every method of rounding."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from mico_runner.graph import capture
from mico_runner.graph.ir import Graph
from mico_runner.quant import PTQ, Executor, LayerBits, QGraph, quantize_input, reference
from mico_runner.quant.qgraph import TERNARY, Assignment, weights_of
from mico_runner.quant.weights import weight_range
from mico_runner.sections import WeightOptions

# The network, its calibration images (N, C, H, W), the bits of every weighted layer -> the integer network.
Quantise = Callable[[Graph, np.ndarray, Assignment], QGraph]

BITS = (8, 4, 1, 2, TERNARY, 3)  # of a layer each
CLOSE = 0.02  # square error of the outputs of 8 x 8 bits, beside their square


def check_quantiser(quantise: Quantise, close: float = CLOSE) -> None:
    """Try a quantiser on a small network with plain, grouped and linear layers, at mixed bits and at eight.

    - It gives every layer the bits that are asked for, and integers within their range: at 1 bit signs alone.
    - The same integers every time.
    - The fast executor computes what the reference does.
    - At eight bits the outputs are nearly those of the float network.

    Args:
        close: largest square error of the outputs at eight bits, relative to their square.

    Raises:
        AssertionError: what does not hold.
    """
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=2), nn.ReLU(), nn.Conv2d(4, 5, 1), nn.ReLU()]
    layers += [nn.Flatten(), nn.Linear(80, 9), nn.ReLU(), nn.Linear(9, 7), nn.ReLU(), nn.Linear(7, 3)]
    graph = capture(nn.Sequential(*layers).eval(), (2, 8, 8), "small")
    images = np.random.default_rng(0).random((40, 2, 8, 8), dtype=np.float32)
    mixed = {node.name: LayerBits(bits, 8) for node, bits in zip(graph.weighted, BITS, strict=True)}
    first, again = quantise(graph, images, mixed), quantise(graph, images, mixed)
    x = quantize_input(first, images)
    assert (Executor(first).run(x) == reference.run(first, x)).all(), "the executor differs from the reference"
    given = {node.name: node.weight_bits for node in first.nodes if node.weight_bits is not None}
    asked = {name: bits.weight for name, bits in mixed.items()}
    assert given == asked, f"weights have the bits {given}, asked for: {asked}"
    for node, twin in zip(first.nodes, again.nodes, strict=True):
        assert all((node.constants[key] == twin.constants[key]).all() for key in node.constants), (
            f"{node.name}: not the same twice"
        )
        if node.weight_bits is not None:
            (low, high), (weight, _) = weight_range(node.weight_bits), weights_of(node)
            assert low <= weight.min() <= weight.max() <= high, (
                f"{node.name}: {weight.min()}..{weight.max()}, allowed {low}..{high}"
            )
            assert node.weight_bits != 1 or (weight != 0).all(), f"{node.name}: 0 among signs"
    whole = quantise(graph, images, {node.name: LayerBits(8, 8) for node in graph.weighted})
    real = reference.dequantize_output(whole, Executor(whole).run(quantize_input(whole, images)))
    with torch.no_grad():
        wanted = nn.Sequential(*layers)(torch.from_numpy(images)).numpy()
    error = float(((real - wanted) ** 2).sum() / (wanted**2).sum())
    assert error < close, f"square error {error:.3g} of the outputs' at eight bits, allowed {close}"


def check_rounding(name: str) -> None:
    """Try a method of rounding in the package's quantiser. Raises AssertionError as `check_quantiser`."""

    def quantise(graph: Graph, images: np.ndarray, assignment: Assignment) -> QGraph:
        return PTQ(graph, images, WeightOptions(rounding=name)).quantize(assignment)

    check_quantiser(quantise)
