"""LeNet and a smaller convolutional network for 8 x 8 images."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from mico_runner.errors import UsageError
from mico_runner.models import register


@register("lenet")
def lenet(input_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """LeNet-5 as MiCo uses it: c6k5p2, c16k5, 400-64-32-10 on 28 x 28 images (LeCun et al. 1998, ReLU and max-pool)."""
    channels, height, width = input_shape
    if min(height, width) < 12:
        raise UsageError(
            f"model lenet needs images of at least 12 x 12, the task has {height} x {width}; try 'small-cnn'"
        )
    features = 16 * ((height // 2 - 4) // 2) * ((width // 2 - 4) // 2)
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


@register("small-cnn", params={"channels": {"type": "integer", "min": 1, "default": 16}})
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
