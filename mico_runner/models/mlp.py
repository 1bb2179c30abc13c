"""Multi-layer perceptrons."""

from __future__ import annotations

import itertools
import math

from torch import nn

from mico_runner.models import register
from mico_runner.models.blocks import scaled


@register(
    "mlp",
    params={
        "hidden": {"type": "list", "schema": {"type": "integer", "min": 1}, "minlength": 1, "default": [64, 64, 64]}
    },
    size={"input": [1, 28, 28], "outputs": 10, "weights": 59_008, "macs": 59_008},
)
def mlp(input_shape: tuple[int, ...], classes: int, hidden: tuple[int, ...] = (64, 64, 64)) -> nn.Module:
    """Fully connected network with ReLU between its layers."""
    return _layers([math.prod(input_shape), *hidden], classes)


@register(
    "mico-mlp",
    params={"width": {"type": "number", "min": 0.05, "max": 4, "default": 1.0}},
    size={"input": [1, 16, 16], "outputs": 10, "weights": 25_216, "macs": 25_216},
)
def mico_mlp(input_shape: tuple[int, ...], classes: int, width: float = 1.0) -> nn.Module:
    """MiCo's MLP: 64-64-64 on images of 16 x 16."""
    return _layers([math.prod(input_shape), *[scaled(64, width)] * 3], classes)


@register(
    "mico-harmlp",
    params={"width": {"type": "number", "min": 0.05, "max": 4, "default": 1.0}},
    size={"input": [561], "outputs": 6, "weights": 184_960, "macs": 184_960},
)
def harmlp(input_shape: tuple[int, ...], classes: int, width: float = 1.0) -> nn.Module:
    """MiCo's network for the 561 features of UCI HAR: 256-128-64, dropout of 0.2."""
    inner = [scaled(channels, width) for channels in (256, 128, 64)]
    return _layers([math.prod(input_shape), *inner], classes, dropout=0.2)


def _layers(widths: list[int], classes: int, dropout: float = 0.0) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Flatten()]
    for fan_in, fan_out in itertools.pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU(), *([nn.Dropout(dropout)] if dropout else [])]
    return nn.Sequential(*layers, nn.Linear(widths[-1], classes))
