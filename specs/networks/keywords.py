"""A network for short words from raw sound: log-mel energies, then depthwise separable convolutions."""

import torch
from torch import Tensor, nn

from mico_runner.models.frontends import LogMel


class Blanked(nn.Module):
    """In training only: each sound's bands moved up or down, and neighbouring frames and bands blanked (SpecAugment, Park et al. 2019).

    Other voices have other formants: moved bands stand for them.
    """

    def __init__(self, shift: int, frames: int, bands: int) -> None:
        super().__init__()
        self.shift, self.most = shift, (frames, bands)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        count, _, *sizes = x.shape
        by = torch.randint(-self.shift, self.shift + 1, (count, 1))
        source = (torch.arange(sizes[1]) + by).clamp(0, sizes[1] - 1)
        x = x.gather(3, source.view(count, 1, 1, -1).expand_as(x))
        for axis, (size, most) in enumerate(zip(sizes, self.most, strict=True)):
            width = torch.randint(0, most + 1, (count, 1))
            start = (torch.rand(count, 1) * (size - width + 1)).long()
            place = torch.arange(size)
            hidden = (place >= start) & (place < start + width)
            x = x.masked_fill(hidden.view(count, 1, *((size, 1) if axis == 0 else (1, size))), 0.0)
        return x


def separable(given: int, width: int, stride: int = 1) -> nn.Sequential:
    """A depthwise convolution of 3 x 3 and a pointwise one, each with batch norm."""
    return nn.Sequential(
        nn.Conv2d(given, given, 3, stride=stride, padding=1, groups=given, bias=False),
        nn.BatchNorm2d(given),
        nn.ReLU(),
        nn.Conv2d(given, width, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    )


class Keywords(nn.Module):
    """Scores of `classes` words for sounds (N, 1, samples) of a second at `rate` samples."""

    def __init__(self, rate: int = 8000, classes: int = 10, width: int = 32) -> None:
        super().__init__()
        self.front = LogMel(rate, frame=256, hop=128, bands=40)
        self.blanked = Blanked(shift=4, frames=12, bands=8)
        self.stem = nn.Sequential(
            nn.Conv2d(1, width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.body = nn.Sequential(
            separable(width, 2 * width),
            separable(2 * width, 2 * width, 2),
            separable(2 * width, 2 * width),
            separable(2 * width, 2 * width),
        )
        self.drop, self.head = nn.Dropout(0.3), nn.Linear(2 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        features = self.blanked(self.front(x))
        return self.head(self.drop(self.body(self.stem(features)).mean((2, 3))))
