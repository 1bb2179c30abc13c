"""A U-Net (Ronneberger et al. 2015) of two levels for small images."""

import torch
from torch import Tensor, nn


def block(given: int, width: int) -> nn.Sequential:
    """Two convolutions of 3 x 3 with batch norm."""
    layers: list[nn.Module] = []
    for channels in (given, width):
        layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """A score for each pixel and class of images (N, 3, H, W), H and W multiples of 4."""

    def __init__(self, width: int = 16, classes: int = 2) -> None:
        super().__init__()
        self.first, self.second, self.bottom = block(3, width), block(width, 2 * width), block(2 * width, 4 * width)
        self.pool = nn.MaxPool2d(2)
        self.raise2 = nn.ConvTranspose2d(4 * width, 2 * width, 2, stride=2)
        self.after2 = block(4 * width, 2 * width)
        self.raise1 = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.after1 = block(2 * width, width)
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        first = self.first(x)
        second = self.second(self.pool(first))
        y = self.raise2(self.bottom(self.pool(second)))
        y = self.raise1(self.after2(torch.cat([y, second], 1)))
        return self.head(self.after1(torch.cat([y, first], 1)))
