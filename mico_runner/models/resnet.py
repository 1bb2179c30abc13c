"""Small residual networks."""

from __future__ import annotations

import torch
from torch import nn

from mico_runner.models import register
from mico_runner.models.blocks import conv, scaled


class Residual(nn.Module):
    """relu(conv-norm-relu-conv-norm(x) + shortcut(x)) (He et al. 2016, basic block)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = (
            nn.Identity()
            if stride == 1 and inputs == outputs
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


@register(
    "resnet8",
    params={"channels": {"type": "integer", "min": 1, "default": 16}},
    size={"input": [3, 32, 32], "outputs": 10, "weights": 77_360, "macs": 12_501_632},
)
def resnet8(input_shape: tuple[int, int, int], classes: int, channels: int = 16) -> nn.Module:
    """ResNet-8 of MLPerf Tiny: a stem and three basic blocks, global average pool."""
    return nn.Sequential(
        nn.Conv2d(input_shape[0], channels, 3, 1, 1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        Residual(channels, channels, 1),
        Residual(channels, 2 * channels, 2),
        Residual(2 * channels, 4 * channels, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4 * channels, classes),
    )


@register(
    "mico-resnet8",
    params={"width": {"type": "number", "min": 0.05, "max": 4, "default": 1.0}},
    size={"input": [3, 32, 32], "outputs": 10, "weights": 4_897_472, "macs": 253_432_832},
)
def mico_resnet8(input_shape: tuple[int, int, int], classes: int, width: float = 1.0) -> nn.Module:
    """MiCo's ResNet8 for images of 32 x 32: four basic blocks of 64, 128, 256 and 512 channels."""
    return _small(input_shape, classes, 1, width)


@register(
    "mico-resnet18",
    params={"width": {"type": "number", "min": 0.05, "max": 4, "default": 1.0}},
    size={"input": [3, 32, 32], "outputs": 10, "weights": 11_164_352, "macs": 555_422_720},
)
def mico_resnet18(input_shape: tuple[int, int, int], classes: int, width: float = 1.0) -> nn.Module:
    """MiCo's ResNet18 for images of 32 x 32: eight basic blocks of 64, 128, 256 and 512 channels, two of each."""
    return _small(input_shape, classes, 2, width)


def _small(input_shape: tuple[int, int, int], classes: int, depth: int, width: float) -> nn.Module:
    ins = scaled(64, width)
    layers: list[nn.Module] = [conv(input_shape[0], ins, 3)]
    for stage in range(4):
        outs = scaled(64 * 2**stage, width)
        for place in range(depth):
            layers.append(Residual(ins, outs, 2 if stage and not place else 1))
            ins = outs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(ins, classes))
