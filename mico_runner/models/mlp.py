"""Multi-layer perceptrons."""

from __future__ import annotations

import itertools
import math

from torch import nn

from mico_runner.models import register


@register(
    "mlp",
    params={
        "hidden": {"type": "list", "schema": {"type": "integer", "min": 1}, "minlength": 1, "default": [64, 64, 64]}
    },
)
def mlp(input_shape: tuple[int, ...], classes: int, hidden: tuple[int, ...] = (64, 64, 64)) -> nn.Module:
    """Fully connected network with ReLU between its layers (MiCo's MLP has 64-64-64)."""
    widths = [math.prod(input_shape), *hidden]
    layers: list[nn.Module] = [nn.Flatten()]
    for fan_in, fan_out in itertools.pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], classes))
