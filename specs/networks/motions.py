"""A network for short recordings of a motion sensor: convolutions over time, then the mean over it."""

from torch import Tensor, nn


def over_time(given: int, width: int, taps: int, stride: int) -> nn.Sequential:
    """A convolution along time with batch norm."""
    convolution = nn.Conv1d(given, width, taps, stride=stride, padding=taps // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm1d(width), nn.ReLU())


class Motions(nn.Module):
    """Scores (N, 4) of recordings (N, 6, 100): acceleration and rotation along three axes at 10 Hz."""

    def __init__(self, channels: int = 6, classes: int = 4, width: int = 32) -> None:
        super().__init__()
        self.units = nn.BatchNorm1d(channels)  # metres a second squared beside radians a second
        self.body = nn.Sequential(
            over_time(channels, width, 7, 2),
            nn.Dropout(0.2),
            over_time(width, width, 5, 2),
            nn.Dropout(0.2),
            over_time(width, 2 * width, 3, 2),
            nn.AdaptiveAvgPool1d(1),
            nn.Flatten(),
            nn.Linear(2 * width, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self.units(x))
