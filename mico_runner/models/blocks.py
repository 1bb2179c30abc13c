"""What several families of networks are made of."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


def scaled(channels: int, width: float, of: int = 8) -> int:
    """`channels` times `width`, to the nearest multiple of `of`, one at least."""
    return max(1, round(channels * width / of)) * of


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


def inverted(
    ins: int, middle: int, outs: int, kernel: int, stride: int, act: type[nn.Module], squeeze: nn.Module | None
) -> nn.Module:
    """Expand, depthwise, squeeze-and-excite, project (Sandler et al. 2018)."""
    expand = [conv(ins, middle, 1, act=act)] if middle != ins else []
    depthwise = conv(middle, middle, kernel, stride, groups=middle, act=act)
    body = nn.Sequential(*expand, depthwise, *([squeeze] if squeeze else []), conv(middle, outs, 1, act=None))
    return Residual(body) if stride == 1 and ins == outs else body
