"""Networks in the sizes published for ImageNet."""

from __future__ import annotations

from torch import nn

from mico_runner.models import register
from mico_runner.models.blocks import Residual, conv, inverted, scaled


def resnet(
    input_shape: tuple[int, int, int], classes: int, depths: tuple[int, ...], bottleneck: bool, width: float = 1.0
) -> nn.Module:
    """He et al. 2015, the stride on the 3 x 3 convolution."""
    ins = scaled(64, width)
    layers: list[nn.Module] = [conv(input_shape[0], ins, 7, 2), nn.MaxPool2d(3, 2, 1)]
    for stage, depth in enumerate(depths):
        inner = scaled(64 * 2**stage, width)
        outs = 4 * inner if bottleneck else inner
        for i in range(depth):
            stride = 2 if stage and not i else 1
            if bottleneck:
                body = nn.Sequential(conv(ins, inner, 1), conv(inner, inner, 3, stride), conv(inner, outs, 1, act=None))
            else:
                body = nn.Sequential(conv(ins, inner, 3, stride), conv(inner, outs, 3, act=None))
            changes = stride > 1 or ins != outs
            layers.append(Residual(body, conv(ins, outs, 1, stride, act=None) if changes else None, act=True))
            ins = outs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(ins, classes))


@register(
    "resnet18",
    params={"width": {"type": "number", "min": 0.05, "max": 4, "default": 1.0}},
    size={"input": [3, 224, 224], "outputs": 1000, "weights": 11_678_912, "macs": 1_814_073_344},
)
def resnet18(input_shape: tuple[int, int, int], classes: int, width: float = 1.0) -> nn.Module:
    """He et al. 2015, table 1."""
    return resnet(input_shape, classes, (2, 2, 2, 2), bottleneck=False, width=width)


@register(
    "resnet34",
    params={"width": {"type": "number", "min": 0.05, "max": 4, "default": 1.0}},
    size={"input": [3, 224, 224], "outputs": 1000, "weights": 21_779_648, "macs": 3_663_761_408},
)
def resnet34(input_shape: tuple[int, int, int], classes: int, width: float = 1.0) -> nn.Module:
    """He et al. 2015, table 1."""
    return resnet(input_shape, classes, (3, 4, 6, 3), bottleneck=False, width=width)


@register(
    "resnet50",
    params={"width": {"type": "number", "min": 0.05, "max": 4, "default": 1.0}},
    size={"input": [3, 224, 224], "outputs": 1000, "weights": 25_502_912, "macs": 4_089_184_256},
)
def resnet50(input_shape: tuple[int, int, int], classes: int, width: float = 1.0) -> nn.Module:
    """He et al. 2015, table 1."""
    return resnet(input_shape, classes, (3, 4, 6, 3), bottleneck=True, width=width)


@register(
    "mobilenet-v2",
    params={"width": {"type": "number", "min": 0.05, "max": 4, "default": 1.0}},
    size={"input": [3, 224, 224], "outputs": 1000, "weights": 3_469_760, "macs": 300_774_272},
)
def mobilenet_v2(input_shape: tuple[int, int, int], classes: int, width: float = 1.0) -> nn.Module:
    """Sandler et al. 2018, table 2."""
    ins = scaled(32, width)
    layers: list[nn.Module] = [conv(input_shape[0], ins, 3, 2, act=nn.ReLU6)]
    for ratio, channels, depth, stride in (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        outs = scaled(channels, width)
        for i in range(depth):
            layers.append(inverted(ins, ratio * ins, outs, 3, 1 if i else stride, nn.ReLU6, None))
            ins = outs
    last = scaled(1280, max(width, 1.0))  # as the authors have it
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(last, classes)]
    return nn.Sequential(*layers, conv(ins, last, 1, act=nn.ReLU6), *head)
