"""What every rounding method must hold."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from mico_runner.graph import capture
from mico_runner.quant import PTQ, Executor, LayerBits, QGraph, quantize_input, reference
from mico_runner.quant.qgraph import TERNARY, weights_of
from mico_runner.quant.weights import weight_range
from mico_runner.sections import WeightOptions

BITS = (8, 4, 1, 2, TERNARY, 3)  # of a layer each
CLOSE = 0.02  # square error of the outputs of 8 x 8 bits, beside their square


def check_rounding(name: str) -> None:
    """Integers within the range of their bits, the same ones every time, and at eight bits nearly the float network.

    Raises AssertionError with what was found.
    """
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=2), nn.ReLU(), nn.Conv2d(4, 5, 1), nn.ReLU()]
    layers += [nn.Flatten(), nn.Linear(80, 9), nn.ReLU(), nn.Linear(9, 7), nn.ReLU(), nn.Linear(7, 3)]
    graph = capture(nn.Sequential(*layers).eval(), (2, 8, 8), "small")
    images = np.random.default_rng(0).random((40, 2, 8, 8), dtype=np.float32)
    mixed = {node.name: LayerBits(bits, 8) for node, bits in zip(graph.weighted, BITS, strict=True)}

    def quantised(bits: dict[str, LayerBits]) -> QGraph:
        return PTQ(graph, images, WeightOptions(rounding=name)).quantize(bits)

    first, again = quantised(mixed), quantised(mixed)
    x = quantize_input(first, images)
    assert (Executor(first).run(x) == reference.run(first, x)).all(), "the executor differs from the reference"
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
    whole = quantised({node.name: LayerBits(8, 8) for node in graph.weighted})
    real = reference.dequantize_output(whole, Executor(whole).run(quantize_input(whole, images)))
    with torch.no_grad():
        wanted = nn.Sequential(*layers)(torch.from_numpy(images)).numpy()
    error = float(((real - wanted) ** 2).sum() / (wanted**2).sum())
    assert error < CLOSE, f"square error {error:.3g} of the outputs' at eight bits, allowed {CLOSE}"
