"""SqueezeNet for small images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mico_runner.models import register
from mico_runner.models.blocks import Residual, conv, scaled


class Fire(nn.Module):
    """A squeeze of 1 x 1, then 1 x 1 and 3 x 3 side by side, with batch norms (Iandola et al. 2016)."""

    def __init__(self, ins: int, outs: int, squeeze: int) -> None:
        super().__init__()
        self.squeeze = conv(ins, squeeze, 1)
        self.one, self.three = conv(squeeze, outs // 2, 1), conv(squeeze, outs // 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze(x)
        return torch.cat([self.one(x), self.three(x)], 1)


@register(
    "mico-squeezenet",
    params={"width": {"type": "number", "min": 0.05, "max": 4, "default": 1.0}},
    size={"input": [3, 32, 32], "outputs": 10, "weights": 726_048, "macs": 52_543_488},
)
def squeezenet(input_shape: tuple[int, int, int], classes: int, width: float = 1.0) -> nn.Module:
    """MiCo's SqueezeNet for images of 32 x 32: eight fire modules, sums around those that keep their channels."""
    ins = scaled(96, width)
    layers: list[nn.Module] = [conv(input_shape[0], ins, 3), nn.MaxPool2d(2)]
    for channels, squeeze, pooled in (
        *((128, 16, False), (128, 16, False), (256, 32, True), (256, 32, False)),
        *((384, 48, False), (384, 48, False), (512, 64, True), (512, 64, False)),
    ):
        outs = scaled(channels, width)
        fire = Fire(ins, outs, scaled(squeeze, width, of=4))
        summed = ins == outs and channels < 512
        layers += [Residual(fire) if summed else fire, *([nn.MaxPool2d(2)] if pooled else [])]
        ins = outs
    return nn.Sequential(*layers, nn.Conv2d(ins, classes, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
