"""Plain convolutional networks for images of 32 x 32: convolutions and pools, then linear layers."""

from __future__ import annotations

from torch import nn

from mico_runner.errors import UsageError
from mico_runner.models import register
from mico_runner.models.blocks import conv, scaled

SMALLEST = 8  # pixels a side: three pools of two


def _features(name: str, input_shape: tuple[int, int, int], channels: int) -> int:
    """Values behind three pools. Raises UsageError: nothing is left of the image."""
    _, height, width = input_shape
    if min(height, width) < SMALLEST:
        raise UsageError(
            f"model {name} needs images of at least {SMALLEST} x {SMALLEST}, the task has {height} x {width}"
        )
    return channels * (height // SMALLEST) * (width // SMALLEST)


@register(
    "mico-cnn",
    params={"width": {"type": "number", "min": 0.05, "max": 4, "default": 1.0}},
    size={"input": [3, 32, 32], "outputs": 10, "weights": 89_440, "macs": 12_298_240},
)
def cnn(input_shape: tuple[int, int, int], classes: int, width: float = 1.0) -> nn.Module:
    """MiCo's CNN: c32, c32, c64, each 5 x 5 with a max-pool, then one linear layer."""
    layers: list[nn.Module] = []
    ins = input_shape[0]
    for channels in (32, 32, 64):
        outs = scaled(channels, width, of=4)
        layers += [nn.Conv2d(ins, outs, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)]
        ins = outs
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(_features("mico-cnn", input_shape, ins), classes))


@register(
    "mico-vgg",
    params={"width": {"type": "number", "min": 0.05, "max": 4, "default": 1.0}},
    size={"input": [3, 32, 32], "outputs": 10, "weights": 34_555_584, "macs": 110_862_336},
)
def vgg(input_shape: tuple[int, int, int], classes: int, width: float = 1.0) -> nn.Module:
    """MiCo's VGG: c64, c128, c256, c256 of 3 x 3 with batch norms and three max-pools, then 4096-4096."""
    layers: list[nn.Module] = []
    ins = input_shape[0]
    for channels, pooled in ((64, True), (128, True), (256, False), (256, True)):
        outs = scaled(channels, width)
        layers += [conv(ins, outs, 3), *([nn.MaxPool2d(2)] if pooled else [])]
        ins = outs
    layers.append(nn.Flatten())
    ins = _features("mico-vgg", input_shape, ins)
    for _ in range(2):
        outs = scaled(4096, width)
        layers += [nn.Linear(ins, outs), nn.ReLU(), nn.Dropout()]
        ins = outs
    return nn.Sequential(*layers, nn.Linear(ins, classes))
