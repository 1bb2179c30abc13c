"""Images at another size: interpolation, and channels as blocks of pixels."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from mico_runner.formats.tflite_file.layout import IMAGE, Made, Use, arranged, gathered, reads


@reads("RESIZE_BILINEAR")
def bilinear(use: Use) -> Made:
    """Half-pixel centres, aligned corners, or neither: then pixel i lies at i * in / out, as if corners were aligned one pixel further."""
    value, size = use.value(), use.made[0][1:3]
    aligned, centres = bool(use.option("AlignCorners")), bool(use.option("HalfPixelCenters"))

    def function(x: torch.Tensor) -> torch.Tensor:
        x = arranged(x, value.order, IMAGE)
        if aligned or centres:
            return F.interpolate(x, size, mode="bilinear", align_corners=aligned)
        for dim in (2, 3):
            x = gathered(x, dim, [*range(x.shape[dim]), x.shape[dim] - 1])
        x = F.interpolate(x, (size[0] + 1, size[1] + 1), mode="bilinear", align_corners=True)
        return x[:, :, : size[0], : size[1]]

    return Made(function, IMAGE)


@reads("RESIZE_NEAREST_NEIGHBOR")
def nearest(use: Use) -> Made:
    value, size = use.value(), use.made[0][1:3]
    aligned, centres = bool(use.option("AlignCorners")), bool(use.option("HalfPixelCenters"))
    picked = [_nearest(n, m, aligned, centres) for n, m in zip(value.shape[1:3], size, strict=True)]
    plain = [[i * n // m for i in range(m)] for n, m in zip(value.shape[1:3], size, strict=True)]

    def function(x: torch.Tensor) -> torch.Tensor:
        x = arranged(x, value.order, IMAGE)
        if picked == plain:
            return F.interpolate(x, size, mode="nearest")
        for dim, indices in zip((2, 3), picked, strict=True):
            x = gathered(x, dim, indices)
        return x

    return Made(function, IMAGE)


def _nearest(size: int, made: int, aligned: bool, centres: bool) -> list[int]:
    """Which elements of a dimension TFLite takes, computed in float32 as its kernel does."""
    at = np.arange(made, dtype=np.float32)
    scale = np.float32((size - 1) / (made - 1) if aligned and made > 1 else size / made)
    place = (at + np.float32(0.5 if centres else 0)) * scale
    found = np.floor(place + np.float32(0.5)) if aligned else np.floor(place)
    return [int(i) for i in np.clip(found, 0, size - 1)]


@reads("DEPTH_TO_SPACE")
def depth_to_space(use: Use) -> Made:
    """Channel (i * block + j) * C + c becomes channel c at row i and column j of its block."""
    value, b = use.value(), use.option("BlockSize")
    height, width, channels = value.shape[1:4]

    def function(x: torch.Tensor) -> torch.Tensor:
        x = arranged(x, value.order, IMAGE).reshape(-1, b, b, channels // b**2, height, width)
        return x.permute(0, 3, 4, 1, 5, 2).reshape(-1, channels // b**2, height * b, width * b)

    return Made(function, IMAGE)


@reads("SPACE_TO_DEPTH")
def space_to_depth(use: Use) -> Made:
    """The reverse."""
    value, b = use.value(), use.option("BlockSize")
    height, width, channels = value.shape[1:4]

    def function(x: torch.Tensor) -> torch.Tensor:
        x = arranged(x, value.order, IMAGE).reshape(-1, channels, height // b, b, width // b, b)
        return x.permute(0, 3, 5, 1, 2, 4).reshape(-1, channels * b**2, height // b, width // b)

    return Made(function, IMAGE)
