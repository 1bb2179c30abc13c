"""Windows that move over an image: their padding, and pooling."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from mico_runner.formats.tflite_file.activations import activation, finished
from mico_runner.formats.tflite_file.layout import IMAGE, Made, Use, Value, arranged, gathered, reads
from mico_runner.ops.capture import Refused

_SAME = 0  # of TFLite's paddings; the other is "valid", none


@dataclass(frozen=True)
class Window:
    """Where a window moves.

    Attributes:
        around: zeros left, right, above, below, as torch.nn.functional.pad takes them.
    """

    size: tuple[int, int]
    stride: tuple[int, int]
    around: tuple[int, int, int, int]

    @property
    def even(self) -> tuple[int, int] | None:
        """Rows above and below, columns on both sides; None where the two sides differ."""
        left, right, above, below = self.around
        return (above, left) if (left, above) == (right, below) else None


def window(use: Use, size: tuple[int, int], dilation: tuple[int, int] = (1, 1)) -> Window:
    """Of the operator's first input. TFLite's "same" makes an output of input / stride, the odd zero behind. Raises Refused."""
    stride = (use.option("StrideH"), use.option("StrideW"))
    if min(*stride, *size, *dilation) < 1:
        raise Refused(f"a window of {size} with stride {stride} and dilation {dilation}")
    around: list[int] = []
    for n, k, s, d in zip(use.value().shape[1:3], size, stride, dilation, strict=True):
        total = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0) if use.option("Padding") == _SAME else 0
        around = [total // 2, total - total // 2, *around]
    return Window(size, stride, (around[0], around[1], around[2], around[3]))


@reads("AVERAGE_POOL_2D")
def average_pool(use: Use) -> Made:
    """Averages of the elements inside the image."""
    value, act, found = _image(use), activation(use), _filter(use)
    if found.even is not None:
        padding = found.even

        def function(x: torch.Tensor) -> torch.Tensor:
            x = arranged(x, value.order, IMAGE)
            return finished(F.avg_pool2d(x, found.size, found.stride, padding, count_include_pad=False), act)

        return Made(function, IMAGE)
    ones = F.pad(torch.ones(1, 1, *value.shape[1:3]), found.around)
    part = F.avg_pool2d(ones, found.size, found.stride)

    def uneven(x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
        x = F.pad(arranged(x, value.order, IMAGE), found.around)
        return finished(F.avg_pool2d(x, found.size, found.stride) * factor, act)

    return Made(uneven, IMAGE, {"factor": 1 / part})


@reads("MAX_POOL_2D")
def max_pool(use: Use) -> Made:
    """Rows and columns at the edge are repeated where one side has more padding: no maximum becomes another one by that."""
    value, act, found = _image(use), activation(use), _filter(use)
    left, right, above, below = found.around
    height, width = value.shape[1:3]
    edges = [
        [0] * low + list(range(n)) + [n - 1] * high for n, low, high in ((height, above, below), (width, left, right))
    ]

    def function(x: torch.Tensor) -> torch.Tensor:
        x, padding = arranged(x, value.order, IMAGE), found.even or (0, 0)
        if found.even is None:
            x = gathered(gathered(x, 2, edges[0]), 3, edges[1])
        return finished(F.max_pool2d(x, found.size, found.stride, padding), act)

    return Made(function, IMAGE)


def _image(use: Use) -> Value:
    value = use.value()
    if value.rank != 4:
        raise Refused(f"an input of shape {value.shape}; images have 4 dimensions")
    return value


def _filter(use: Use) -> Window:
    return window(use, (use.option("FilterHeight"), use.option("FilterWidth")))
