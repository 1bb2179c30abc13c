"""Small residual networks."""

from __future__ import annotations

import torch
from torch import nn

from mico_runner.models import register


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


@register("resnet8", params={"channels": {"type": "integer", "min": 1, "default": 16}})
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
