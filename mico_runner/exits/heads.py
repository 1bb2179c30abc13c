"""The small networks that answer at the exits, learnt from a network that stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from mico_runner import graph as graphs
from mico_runner.graph.ir import Graph, Node
from mico_runner.graph.run import compute, schedule

NEAR_ONE, LEAST = 1e-3, 1e-6  # of probabilities: what their sum may be off by, and below which they are alike


def head(shape: tuple[int, ...], channels: int, classes: int) -> nn.Module:
    """Two convolutions, each of half the rows and columns, the mean over the image, and a linear layer; for images (C, H, W).

    With 0 channels there are no convolutions: what is left costs next to nothing, and knows less.
    """
    ins, height, width = shape
    if channels == 0:
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(ins, classes))
    strides = [2 if min(height, width) >= least else 1 for least in (8, 16)]
    return nn.Sequential(
        nn.Conv2d(ins, channels, 3, strides[0], 1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Conv2d(channels, 2 * channels, 3, strides[1], 1, bias=False),
        nn.BatchNorm2d(2 * channels),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(2 * channels, classes),
    )


class Heads(nn.Module):
    """The heads of a network, which is no part of what is trained.

    Args:
        places: tensors (C, H, W) of the network, one for each head.

    `forward` gives (N, classes, heads + 1) scores while it trains, the network's own last; in evaluation (N, classes), the mean of the
    heads' probabilities.
    """

    def __init__(self, network: Graph, places: Sequence[str], channels: int) -> None:
        super().__init__()
        (classes,) = network.shapes[network.output]
        self.network, self.places = network, tuple(places)
        self.heads = nn.ModuleList(head(network.shapes[place], channels, classes) for place in places)

    def forward(self, x: Tensor) -> Tensor:
        found = self.answers(x)
        return found if self.training else found[:, :, :-1].softmax(1).mean(2)

    def answers(self, x: Tensor) -> Tensor:
        """Scores (N, classes, heads + 1) of inputs (N, *shape), the network's own last."""
        held, values = dict[str, Tensor](), {self.network.input: x}
        with torch.no_grad():
            for node, spent in schedule(self.network):
                values[node.output] = compute(node, [values[tensor] for tensor in node.inputs])
                if node.output in self.places:
                    held[node.output] = values[node.output]
                for tensor in spent:
                    del values[tensor]
        answers = [one(held[place]) for place, one in zip(self.places, self.heads, strict=True)]
        return torch.stack([*answers, as_scores(values[self.network.output])], dim=2)

    def attached(self) -> Graph:
        """The network with its heads: an output for each of them, in order, and then its own."""
        nodes, shapes, outputs = list(self.network.nodes), dict(self.network.shapes), list[str]()
        for number, (place, one) in enumerate(zip(self.places, self.heads, strict=True)):
            found = graphs.capture(one, self.network.shapes[place], f"exit{number}")
            renamed = {tensor: f"{found.name}.{tensor}" for tensor in found.shapes} | {found.input: place}
            nodes += [_renamed(node, found.name, renamed) for node in found.nodes]
            shapes |= {renamed[tensor]: shape for tensor, shape in found.shapes.items()}
            outputs.append(renamed[found.output])
        return replace(self.network, nodes=tuple(nodes), shapes=shapes, outputs=(*outputs, self.network.output))


def _renamed(node: Node, prefix: str, tensors: dict[str, str]) -> Node:
    inputs = tuple(tensors[tensor] for tensor in node.inputs)
    return replace(node, name=f"{prefix}.{node.name}", inputs=inputs, output=tensors[node.output])


def as_scores(outputs: Tensor) -> Tensor:
    """Outputs (N, classes) of a network as scores: the logarithm of those that are probabilities already."""
    if bool((outputs >= 0).all()) and bool(((outputs.sum(1) - 1).abs() < NEAR_ONE).all()):
        return outputs.clamp_min(LEAST).log()
    return outputs
