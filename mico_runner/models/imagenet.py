"""Networks in the sizes published for ImageNet."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from mico_runner.models import register


def conv(
    ins: int, outs: int, kernel: int, stride: int = 1, groups: int = 1, act: type[nn.Module] | None = nn.ReLU
) -> nn.Sequential:
    """Convolution without bias, batch norm, activation."""
    layers: list[nn.Module] = [
        nn.Conv2d(ins, outs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outs),
    ]
    return nn.Sequential(*layers, *([act()] if act else []))


class Residual(nn.Module):
    """x + body(x), through a projection where the shape changes."""

    def __init__(self, body: nn.Module, shortcut: nn.Module | None = None, act: bool = False) -> None:
        super().__init__()
        self.body, self.shortcut, self.act = body, shortcut or nn.Identity(), act

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x) + self.shortcut(x)
        return F.relu(y) if self.act else y


def resnet(input_shape: tuple[int, int, int], classes: int, depths: tuple[int, ...], bottleneck: bool) -> nn.Module:
    """He et al. 2015, the stride on the 3 x 3 convolution."""
    layers: list[nn.Module] = [conv(input_shape[0], 64, 7, 2), nn.MaxPool2d(3, 2, 1)]
    ins = 64
    for stage, depth in enumerate(depths):
        width = 64 * 2**stage
        outs = 4 * width if bottleneck else width
        for i in range(depth):
            stride = 2 if stage and not i else 1
            if bottleneck:
                body = nn.Sequential(conv(ins, width, 1), conv(width, width, 3, stride), conv(width, outs, 1, act=None))
            else:
                body = nn.Sequential(conv(ins, width, 3, stride), conv(width, outs, 3, act=None))
            changes = stride > 1 or ins != outs
            layers.append(Residual(body, conv(ins, outs, 1, stride, act=None) if changes else None, act=True))
            ins = outs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(ins, classes))


@register("resnet18")
def resnet18(input_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """He et al. 2015, table 1."""
    return resnet(input_shape, classes, (2, 2, 2, 2), bottleneck=False)


@register("resnet34")
def resnet34(input_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """He et al. 2015, table 1."""
    return resnet(input_shape, classes, (3, 4, 6, 3), bottleneck=False)


@register("resnet50")
def resnet50(input_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """He et al. 2015, table 1."""
    return resnet(input_shape, classes, (3, 4, 6, 3), bottleneck=True)


def inverted(
    ins: int, middle: int, outs: int, kernel: int, stride: int, act: type[nn.Module], squeeze: nn.Module | None
) -> nn.Module:
    """Expand, depthwise, squeeze-and-excite, project (Sandler et al. 2018)."""
    expand = [conv(ins, middle, 1, act=act)] if middle != ins else []
    depthwise = conv(middle, middle, kernel, stride, groups=middle, act=act)
    body = nn.Sequential(*expand, depthwise, *([squeeze] if squeeze else []), conv(middle, outs, 1, act=None))
    return Residual(body) if stride == 1 and ins == outs else body


@register("mobilenet-v2")
def mobilenet_v2(input_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Sandler et al. 2018, table 2."""
    layers: list[nn.Module] = [conv(input_shape[0], 32, 3, 2, act=nn.ReLU6)]
    ins = 32
    for ratio, outs, depth, stride in (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        for i in range(depth):
            layers.append(inverted(ins, ratio * ins, outs, 3, 1 if i else stride, nn.ReLU6, None))
            ins = outs
    return nn.Sequential(
        *layers, conv(320, 1280, 1, act=nn.ReLU6), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, classes)
    )
