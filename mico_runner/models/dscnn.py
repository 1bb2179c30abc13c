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
    size={"input": [1, 28, 28], "outputs": 10, "weights": 19_904, "macs": 3_776_384},
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


@register(
    "mlperf-ds-cnn",
    params={"channels": {"type": "integer", "min": 1, "default": 64}},
    size={"input": [1, 49, 10], "outputs": 12, "weights": 22_016, "macs": 2_656_768},
)
def mlperf_ds_cnn(input_shape: tuple[int, int, int], classes: int, channels: int = 64) -> nn.Module:
    """DS-CNN of MLPerf Tiny for keywords: a strided stem of 10 x 4, four blocks, TensorFlow's padding "same"."""
    kernel, stride = (10, 4), 2
    sides = [_same(size, taps, stride) for size, taps in zip(input_shape[1:], kernel, strict=True)]
    stem = nn.Conv2d(input_shape[0], channels, kernel, stride, bias=False)
    layers: list[nn.Module] = [nn.ZeroPad2d((*sides[1], *sides[0])), stem, nn.BatchNorm2d(channels), nn.ReLU()]
    layers.append(nn.Dropout(0.2))
    for _ in range(4):
        layers += _conv(channels, channels, 3, 1, groups=channels) + _conv(channels, channels, 1, 1)
    return nn.Sequential(*layers, nn.Dropout(0.4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


def _same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and behind, so that ceil(size / stride) positions fit: the odd one behind, as TensorFlow has it."""
    zeros = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return zeros // 2, zeros - zeros // 2
