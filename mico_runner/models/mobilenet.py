"""MobileNets for small images."""

from __future__ import annotations

from torch import nn

from mico_runner.models import register
from mico_runner.models.blocks import Residual, conv, scaled


@register(
    "mlperf-mobilenet-v1",
    params={"width": {"type": "number", "min": 0.05, "max": 4, "default": 0.25}},
    size={"input": [3, 96, 96], "outputs": 2, "weights": 208_112, "macs": 7_489_664},
)
def mobilenet_v1(input_shape: tuple[int, int, int], classes: int, width: float = 0.25) -> nn.Module:
    """MobileNetV1 (Howard et al. 2017, table 1), a quarter as wide: that of MLPerf Tiny for visual wake words."""
    ins = scaled(32, width)
    layers: list[nn.Module] = [conv(input_shape[0], ins, 3, 2)]
    for channels, stride in (
        *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
        *((512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1)),
    ):
        outs = scaled(channels, width)
        layers += [conv(ins, ins, 3, stride, groups=ins), conv(ins, outs, 1)]
        ins = outs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(ins, classes))


@register(
    "mico-mobilenet-v2",
    params={"width": {"type": "number", "min": 0.05, "max": 4, "default": 1.0}},
    size={"input": [3, 32, 32], "outputs": 10, "weights": 2_202_816, "macs": 64_832_064},
)
def mobilenet_v2(input_shape: tuple[int, int, int], classes: int, width: float = 1.0) -> nn.Module:
    """MiCo's MobileNetV2 for images of 32 x 32: a stem of 1 x 1 with padding 1, three strides of two."""

    def layer(ins: int, outs: int, kernel: int, **options: int) -> nn.Sequential:
        return conv(ins, outs, kernel, act=nn.ReLU6, **options)

    ins = scaled(32, width)
    stem = nn.Sequential(nn.Conv2d(input_shape[0], ins, 1, padding=1, bias=False), nn.BatchNorm2d(ins), nn.ReLU6())
    layers: list[nn.Module] = [stem]
    for ratio, channels, depth, stride in (
        *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
        *((6, 96, 3, 1), (6, 160, 3, 1), (6, 320, 1, 1)),
    ):
        outs, middle = scaled(channels, width), ratio * ins
        for place in range(depth):
            step = 1 if place else stride
            body = nn.Sequential(
                layer(ins, middle, 1),
                layer(middle, middle, 3, stride=step, groups=middle),
                conv(middle, outs, 1, act=None),
            )
            layers.append(Residual(body) if step == 1 and ins == outs else body)
            ins, middle = outs, ratio * outs
    last = scaled(1280, width)
    return nn.Sequential(*layers, layer(ins, last, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(last, classes))
