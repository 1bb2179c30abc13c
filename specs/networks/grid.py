"""A detector without anchors for images of one channel: a box and class scores for each cell of a grid, an eighth of the image."""

from torch import Tensor, nn

OF_BOX = 5


def layer(given: int, width: int, stride: int = 1) -> nn.Sequential:
    """A convolution of 3 x 3 with batch norm."""
    convolution = nn.Conv2d(given, width, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU())


class Grid(nn.Module):
    """Outputs (N, 5 + classes, H / 8, W / 8), as the task `detection` reads them."""

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
