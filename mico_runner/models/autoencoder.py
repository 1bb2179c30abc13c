"""Autoencoders."""

from __future__ import annotations

import itertools
import math

from torch import nn

from mico_runner.models import register


@register(
    "mlperf-autoencoder",
    params={
        "hidden": {"type": "integer", "min": 1, "default": 128},
        "code": {"type": "integer", "min": 1, "default": 8},
    },
    size={"input": [640], "outputs": 640, "weights": 264_192, "macs": 264_192},
)
def autoencoder(input_shape: tuple[int, ...], outputs: int, hidden: int = 128, code: int = 8) -> nn.Module:
    """MLPerf Tiny's for anomalies in sounds of machines: four linear layers of 128 to a code of 8, and four back."""
    widths = [math.prod(input_shape), *[hidden] * 4, code, *[hidden] * 4]
    layers: list[nn.Module] = [nn.Flatten()]
    for ins, outs in itertools.pairwise(widths):
        layers += [nn.Linear(ins, outs), nn.BatchNorm1d(outs), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], outputs))
