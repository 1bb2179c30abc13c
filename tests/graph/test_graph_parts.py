"""Operators on images that are parts of a sample: windows that stand in the batch, as attention over windows puts them."""

import pytest
import torch
from graph_networks import same_numbers
from torch import nn

ON_WINDOWS = {
    "conv": nn.Conv2d(4, 6, 3, padding=1),
    "stride": nn.Conv2d(4, 6, 3, stride=2, padding=1),
    "one": nn.Conv2d(4, 6, 1, stride=2),
    "depthwise": nn.Conv2d(4, 4, 3, groups=4),
    "dilated": nn.Conv2d(4, 6, (2, 3), padding=(2, 0), dilation=(2, 1)),
    "sparse": nn.Conv2d(4, 6, 2, stride=3, padding=1),
    "same": nn.Conv2d(4, 6, 4, padding="same"),
    "norm": nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6)),
    "average": nn.AvgPool2d(3, 2, 1, count_include_pad=False),
    "maximum": nn.MaxPool2d(2, 1),
    "adaptive": nn.AdaptiveAvgPool2d(4),
    "adaptive_maximum": nn.AdaptiveMaxPool2d((2, 5)),
}


class Windows(nn.Module):
    """A module on each of 2 x 2 windows of an image."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        n, c, h, w = x.shape
        parts = x.reshape(n, c, 2, h // 2, 2, w // 2).permute(0, 2, 4, 1, 3, 5).reshape(4 * n, c, h // 2, w // 2)
        return self.inner(parts).reshape(n, -1)


@pytest.mark.parametrize("name", ON_WINDOWS)
def test_windows_in_the_batch(name):
    torch.manual_seed(0)
    same_numbers(Windows(ON_WINDOWS[name].eval()), (4, 12, 14))


def test_one_dimensional_convolutions_of_parts():
    class Rows(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv1d(3, 5, 3, stride=2, padding=1)

        def forward(self, x):
            return self.conv(x.flatten(0, 1)).reshape(len(x), -1)

    same_numbers(Rows(), (4, 3, 9))
