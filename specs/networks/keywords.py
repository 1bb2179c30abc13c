"""A network for short words from raw sound: log-mel energies, then depthwise separable convolutions."""

import torch
from torch import Tensor, nn

from mico_runner.models.frontends import LogMel

LOUDNESS = 6.0  # dB by which sounds are made louder or quieter
LATER = 15  # frames by which they are moved
HIDDEN = (12, 8)  # neighbouring frames and bands that are blanked


class Varied(nn.Module):
    """In training only: each sound louder or quieter, later, with neighbouring frames and bands blanked (SpecAugment, Park et al. 2019)."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        count, _, frames, bands = x.shape
        louder = 10 ** (LOUDNESS / 10 * (2 * torch.rand(count, 1, 1, 1) - 1))
        x = torch.log1p(torch.expm1(x) * louder)
        source = torch.arange(frames) - torch.randint(0, LATER + 1, (count, 1))
        shape = (count, 1, frames, 1)
        x = x.gather(2, source.clamp(min=0).view(shape).expand_as(x)) * (source >= 0).view(shape)
        for size, most, shape in ((frames, HIDDEN[0], (count, 1, -1, 1)), (bands, HIDDEN[1], (count, 1, 1, -1))):
            width = torch.randint(0, most + 1, (count, 1))
            start = (torch.rand(count, 1) * (size - width + 1)).long()
            place = torch.arange(size)
            x = x.masked_fill(((place >= start) & (place < start + width)).view(shape), 0.0)
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
        quiet = (256 / 4) ** 2 * 10 ** (-56 / 10)  # 56 dB below a full tone: rooms and microphones differ below
        self.front = LogMel(rate, frame=256, hop=128, bands=40, floor=quiet)
        self.varied = Varied()
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
        features = self.varied(self.front(x))
        return self.head(self.drop(self.body(self.stem(features)).mean((2, 3))))
