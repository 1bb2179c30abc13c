"""ShuffleNet for small images."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mico_runner.models import register
from mico_runner.models.blocks import conv, scaled

GROUPS = 3


class Unit(nn.Module):
    """1 x 1 in groups, shuffle, depthwise 3 x 3, 1 x 1 in groups; added to the input, or beside it, pooled (Zhang et al. 2018)."""

    def __init__(self, ins: int, outs: int, stride: int) -> None:
        super().__init__()
        middle = outs // 4
        self.reduce = conv(ins, middle, 1, groups=GROUPS)
        self.depthwise = conv(middle, middle, 3, stride, groups=middle, act=None)
        self.expand = conv(middle, outs - ins if stride > 1 else outs, 1, groups=GROUPS, act=None)
        self.pool = nn.AvgPool2d(3, 2, 1) if stride > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.reduce(x).unflatten(1, (GROUPS, -1)).transpose(1, 2).flatten(1, 2)
        y = self.expand(self.depthwise(y))
        return F.relu(x + y if self.pool is None else torch.cat([self.pool(x), y], 1))


@register(
    "mico-shufflenet",
    params={"width": {"type": "number", "min": 0.05, "max": 4, "default": 1.0}},
    size={"input": [3, 32, 32], "outputs": 10, "weights": 888_888, "macs": 41_607_552},
)
def shufflenet(input_shape: tuple[int, int, int], classes: int, width: float = 1.0) -> nn.Module:
    """MiCo's ShuffleNet for images of 32 x 32: three groups, stages of 4, 8 and 4 units."""
    ins = scaled(24, width, of=GROUPS)
    layers: list[nn.Module] = [conv(input_shape[0], ins, 3)]
    for channels, depth in ((240, 4), (480, 8), (960, 4)):
        outs = scaled(channels, width, of=4 * GROUPS)
        for place in range(depth):
            layers.append(Unit(ins, outs, 1 if place else 2))
            ins = outs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(ins, classes))
