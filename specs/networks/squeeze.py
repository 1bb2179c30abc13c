"""A network of one's own for specs/own-torch.yaml: convolutions with SiLU, and squeeze-and-excite."""

from torch import Tensor, nn


class SqueezeExcite(nn.Module):
    """Channels weighted by what the whole image says (Hu et al. 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, channels // 4, 1)
        self.expand = nn.Conv2d(channels // 4, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        weights = self.reduce(x.mean((2, 3), keepdim=True)).relu()
        return x * self.expand(weights).sigmoid()


class Squeeze(nn.Module):
    """Three convolutions of `width` and twice as many channels for one-channel images, ten classes."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.SiLU())
        self.body = nn.Sequential(
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(2 * width), nn.SiLU()
        )
        self.squeeze = SqueezeExcite(2 * width)
        self.head = nn.Linear(2 * width, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.squeeze(self.body(self.stem(x))).mean((2, 3)))
