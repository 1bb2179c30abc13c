"""Networks of volumes and of images over time: convolutions, pools and interpolation in three dimensions."""

import pytest
import torch
import torch.nn.functional as F
from graph_networks import same_numbers
from torch import nn

SIZE = (3, 6, 8, 7)
MODULES = {
    "convolution": nn.Sequential(
        nn.Conv3d(3, 4, 3, padding=1), nn.BatchNorm3d(4), nn.ReLU(), nn.Conv3d(4, 2, (2, 3, 1), 2)
    ),
    "groups and dilation": nn.Conv3d(3, 6, 2, dilation=(2, 1, 3), padding=(1, 0, 2), groups=3),
    "along time": nn.Sequential(
        nn.Conv3d(3, 5, (3, 1, 1), padding=(1, 0, 0)), nn.Conv3d(5, 4, (1, 3, 3), (1, 2, 2), (0, 1, 1))
    ),
    "same": nn.Sequential(nn.Conv3d(3, 4, (2, 3, 4), padding="same"), nn.PReLU(), nn.Conv3d(4, 2, 2, padding="valid")),
    "transposed": nn.Sequential(nn.ConvTranspose3d(3, 4, 2, 2), nn.InstanceNorm3d(4, affine=True)),
    "transposed with more": nn.ConvTranspose3d(3, 4, 3, (1, 2, 3), 1, (0, 1, 2)),
    "maxima": nn.Sequential(nn.MaxPool3d(3, 2, 1), nn.MaxPool3d((1, 2, 2), ceil_mode=True)),
    "averages": nn.Sequential(nn.AvgPool3d(2, count_include_pad=False), nn.AdaptiveAvgPool3d((1, 2, 1))),
    "larger": nn.Sequential(
        nn.Upsample(scale_factor=2), nn.Upsample(size=(7, 9, 20), mode="trilinear", align_corners=True)
    ),
    "larger without corners": nn.Upsample(scale_factor=2, mode="trilinear"),
    "norm": nn.Sequential(
        nn.BatchNorm3d(3),
        nn.Conv3d(3, 4, 1),
        nn.GroupNorm(2, 4),
        nn.AdaptiveAvgPool3d(1),
        nn.Flatten(),
        nn.Linear(4, 2),
    ),
}


@pytest.mark.parametrize("name", MODULES)
def test_volumes(name):
    torch.manual_seed(0)
    same_numbers(MODULES[name].eval(), SIZE)


def test_a_part_that_cannot_be_expressed_names_the_call():
    from mico_runner.errors import UsageError
    from mico_runner.graph import capture

    class Odd(nn.Module):
        def forward(self, x):
            return F.avg_pool3d(x, 2, divisor_override=3)

    with pytest.raises(UsageError, match=r"test_graph_volumes.py:\d+: node .*avg_pool3d"):
        capture(Odd(), SIZE, "odd")
