"""LeNet and a smaller convolutional network for 8 x 8 images."""

from __future__ import annotations

import itertools
from collections import OrderedDict

from torch import nn

from mico_runner.errors import UsageError
from mico_runner.models import register
from mico_runner.models.blocks import scaled


@register("lenet", size={"input": [1, 28, 28], "outputs": 10, "weights": 30_518, "macs": 385_568})
def lenet(input_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """LeNet-5: c6k5p2, c16k5, 400-64-32-10 on 28 x 28 images (LeCun et al. 1998, with ReLU and max-pools)."""
    channels, height, width = input_shape
    _check_size("lenet", height, width)
    features = 16 * _left(height) * _left(width)
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(channels, 6, 5, padding=2),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(6, 16, 5),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc1=nn.Linear(features, 64),
            relu3=nn.ReLU(),
            fc2=nn.Linear(64, 32),
            relu4=nn.ReLU(),
            fc3=nn.Linear(32, classes),
        )
    )


@register(
    "mico-lenet",
    params={"width": {"type": "number", "min": 0.05, "max": 4, "default": 1.0}},
    size={"input": [1, 28, 28], "outputs": 10, "weights": 30_518, "macs": 385_568},
)
def mico_lenet(input_shape: tuple[int, int, int], classes: int, width: float = 1.0) -> nn.Module:
    """LeNet-5 as MiCo has it: average pools and no biases (LeCun et al. 1998, with ReLU)."""
    channels, height, wide = input_shape
    _check_size("mico-lenet", height, wide)
    first, second = scaled(6, width, of=1), scaled(16, width, of=1)
    widths = [second * _left(height) * _left(wide), scaled(64, width), scaled(32, width)]
    layers: list[nn.Module] = []
    for ins, outs, padding in ((channels, first, 2), (first, second, 0)):
        layers += [nn.Conv2d(ins, outs, 5, padding=padding, bias=False), nn.ReLU(), nn.AvgPool2d(2)]
    layers.append(nn.Flatten())
    for ins, outs in itertools.pairwise(widths):
        layers += [nn.Linear(ins, outs, bias=False), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], classes, bias=False))


def _check_size(name: str, height: int, width: int) -> None:
    if min(height, width) < 12:
        raise UsageError(
            f"model {name} needs images of at least 12 x 12, the task has {height} x {width}; try 'small-cnn'"
        )


def _left(size: int) -> int:
    """Of a side, behind both pools."""
    return (size // 2 - 4) // 2


@register(
    "small-cnn",
    params={"channels": {"type": "integer", "min": 1, "default": 16}},
    size={"input": [1, 8, 8], "outputs": 10, "weights": 9_168, "macs": 87_360},
)
def small_cnn(input_shape: tuple[int, int, int], classes: int, channels: int = 16) -> nn.Module:
    """Two 3 x 3 convolutions with batch-norm, each followed by a 2 x 2 max-pool, then two linear layers."""
    depth, height, width = input_shape
    features = 2 * channels * (height // 4) * (width // 4)
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(depth, channels, 3, padding=1, bias=False),
            norm1=nn.BatchNorm2d(channels),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(channels, 2 * channels, 3, padding=1, bias=False),
            norm2=nn.BatchNorm2d(2 * channels),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc1=nn.Linear(features, 32),
            relu3=nn.ReLU(),
            fc2=nn.Linear(32, classes),
        )
    )
