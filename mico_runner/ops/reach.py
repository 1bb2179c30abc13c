"""Which rows and columns of its inputs an output pixel reads: what is needed to compute an image row by row."""

from __future__ import annotations

from dataclasses import dataclass

Pair = tuple[int, int]


@dataclass(frozen=True)
class Reach:
    """Output (y, x) reads rows y * stride - padding and the `extent` - 1 that follow, columns alike; pairs are (height, width).

    Attributes:
        extent: dilation counted.
        padding: zeros before the first row or column.
        elementwise: an output depends on the same element of each input alone, so that it may be written over one.
    """

    extent: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    elementwise: bool = False


ELEMENTWISE = Reach(elementwise=True)
