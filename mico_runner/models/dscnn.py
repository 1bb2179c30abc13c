"""Depthwise-separable convolutional networks."""

from __future__ import annotations

from torch import nn

from mico_runner.models import register


def _conv(inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(outputs), nn.ReLU()]


@register(
    "ds-cnn",
    params={
        "channels": {"type": "integer", "min": 1, "default": 64},
        "blocks": {"type": "integer", "min": 1, "default": 4},
        "downsample": {"type": "integer", "min": 0, "default": 0},
    },
)
def ds_cnn(
    input_shape: tuple[int, int, int], classes: int, channels: int = 64, blocks: int = 4, downsample: int = 0
) -> nn.Module:
    """DS-CNN (Zhang et al. 2017, "Hello Edge"): a strided stem, depthwise-separable blocks, global average pool.

    Args:
        downsample: blocks, from the first on, whose depthwise convolution has stride 2.
    """
    layers = _conv(input_shape[0], channels, 3, 2)
    for block in range(blocks):
        stride = 2 if block < downsample else 1
        layers += _conv(channels, channels, 3, stride, groups=channels) + _conv(channels, channels, 1, 1)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
