"""MCUNets: networks that a search found for the memory of a microcontroller."""

from __future__ import annotations

from torch import nn

from mico_runner.models import register
from mico_runner.models.blocks import conv, inverted

Blocks = tuple[tuple[int, int, int, int], ...]  # expansion, channels, stride, kernel

# Channels of the stem, side of the image, blocks: the networks of github.com/mit-han-lab/mcunet by their names there.
VARIANTS: dict[str, tuple[int, int, Blocks]] = {
    "in0": (
        24,
        48,
        (
            (1, 16, 1, 3),
            (4, 16, 2, 5),
            (3, 16, 1, 3),
            (4, 16, 1, 3),
            (5, 24, 2, 7),
            (4, 24, 1, 5),
            (5, 24, 1, 5),
            (5, 48, 2, 7),
            (4, 48, 1, 5),
            (5, 56, 1, 3),
            (4, 56, 1, 5),
            (5, 56, 1, 3),
            (6, 112, 2, 3),
            (4, 112, 1, 5),
            (6, 192, 1, 3),
        ),
    ),
    "in1": (
        16,
        96,
        (
            (1, 8, 1, 3),
            (4, 16, 2, 3),
            (3, 16, 1, 3),
            (3, 24, 2, 7),
            (5, 24, 1, 3),
            (5, 40, 2, 3),
            (4, 40, 1, 7),
            (4, 48, 1, 5),
            (3, 48, 1, 3),
            (4, 48, 1, 3),
            (5, 96, 2, 7),
            (4, 96, 1, 5),
            (4, 96, 1, 5),
            (6, 160, 1, 3),
        ),
    ),
    "in2": (
        16,
        160,
        (
            (1, 8, 1, 3),
            (3, 16, 2, 5),
            (6, 16, 1, 7),
            (5, 16, 1, 3),
            (5, 16, 1, 5),
            (5, 24, 2, 3),
            (6, 24, 1, 7),
            (6, 24, 1, 5),
            (4, 40, 2, 7),
            (5, 40, 1, 5),
            (5, 48, 1, 3),
            (5, 48, 1, 5),
            (4, 48, 1, 3),
            (6, 96, 2, 5),
            (4, 96, 1, 5),
            (3, 96, 1, 5),
            (4, 96, 1, 3),
            (5, 160, 1, 5),
        ),
    ),
    "in3": (
        16,
        176,
        (
            (1, 8, 1, 3),
            (3, 16, 2, 7),
            (5, 16, 1, 3),
            (5, 16, 1, 7),
            (4, 16, 1, 5),
            (5, 24, 2, 5),
            (5, 24, 1, 5),
            (5, 24, 1, 5),
            (5, 40, 2, 3),
            (6, 40, 1, 7),
            (4, 40, 1, 5),
            (5, 48, 1, 5),
            (5, 48, 1, 7),
            (5, 48, 1, 3),
            (6, 96, 2, 3),
            (5, 96, 1, 7),
            (4, 96, 1, 3),
            (5, 160, 1, 7),
        ),
    ),
    "in4": (
        32,
        160,
        (
            (1, 16, 1, 3),
            (3, 24, 2, 7),
            (5, 24, 1, 3),
            (4, 24, 1, 5),
            (5, 40, 2, 7),
            (4, 40, 1, 3),
            (4, 40, 1, 7),
            (3, 80, 2, 7),
            (3, 80, 1, 3),
            (3, 80, 1, 7),
            (4, 96, 1, 3),
            (3, 96, 1, 5),
            (3, 96, 1, 5),
            (4, 192, 2, 7),
            (3, 192, 1, 7),
            (3, 192, 1, 5),
            (4, 320, 1, 5),
        ),
    ),
}


@register(
    "mcunet",
    params={"variant": {"type": "string", "allowed": ["in0", "in1", "in2", "in3", "in4"], "default": "in0"}},
    size={"input": [3, 48, 48], "outputs": 1000, "weights": 735_176, "macs": 6_364_224},
)
def mcunet(input_shape: tuple[int, int, int], classes: int, variant: str = "in0") -> nn.Module:
    """Lin et al. 2020 and 2021, for ImageNet; each is published for an image of the side that `VARIANTS` gives."""
    ins, _, blocks = VARIANTS[variant]
    layers: list[nn.Module] = [conv(input_shape[0], ins, 3, 2, act=nn.ReLU6)]
    for ratio, outs, stride, kernel in blocks:
        layers.append(inverted(ins, ratio * ins, outs, kernel, stride, nn.ReLU6, None))
        ins = outs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(ins, classes))
