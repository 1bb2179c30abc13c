"""Networks that see several things in one image of one channel: scattered over it, or in a row."""

from torch import Tensor, nn

OF_BOX = 5


def layer(given: int, width: int, stride: int = 1) -> nn.Sequential:
    """A convolution of 3 x 3 with batch norm."""
    convolution = nn.Conv2d(given, width, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU())


class Grid(nn.Module):
    """A detector without anchors: a box and class scores for each cell of a grid, an eighth of the image.

    Outputs (N, 5 + classes, H / 8, W / 8), as the task `detection` reads them.
    """

    def __init__(self, width: int = 16, classes: int = 10) -> None:
        super().__init__()
        self.body = nn.Sequential(
            layer(1, width, 2),
            layer(width, width),
            layer(width, 2 * width, 2),
            layer(2 * width, 2 * width),
            layer(2 * width, 4 * width, 2),
            layer(4 * width, 4 * width),
            layer(4 * width, 4 * width),
        )
        self.head = nn.Conv2d(4 * width, OF_BOX + classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


class Row(nn.Module):
    """Scores of classes for each of the places, 14 columns wide, of images (N, 1, 14, places x 14): (N, places, classes)."""

    def __init__(self, width: int = 8, classes: int = 10) -> None:
        super().__init__()
        place = nn.Conv2d(2 * width, 4 * width, 7, stride=7, bias=False)
        self.body = nn.Sequential(
            layer(1, width), nn.MaxPool2d(2), layer(width, 2 * width), place, nn.BatchNorm2d(4 * width), nn.ReLU()
        )
        self.head = nn.Linear(4 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).flatten(2).transpose(1, 2))
