"""How operators become part of what DNNWeaver2's compiler takes: groups of a convolution and what follows it element by element."""

from __future__ import annotations

from typing import Protocol

import numpy as np

Pair = tuple[int, int]


class ConvGroups(Protocol):
    """A chain of groups in the making, of one image at 16 bits."""

    def image(self, tensor: str) -> tuple[int, int, int]:
        """(C, H, W) of a tensor; of one that was flattened, of the image that it was."""

    def convolution(
        self, name: str, output: str, weight: np.ndarray, bias: np.ndarray | None, stride: Pair, padding: Pair
    ) -> None:
        """Begin a group; `weight` (Cout, kh, kw, Cin), `output` the tensor that it makes."""

    def relu(self, output: str) -> None: ...

    def max_pool(self, output: str, kernel: Pair, stride: Pair) -> None: ...

    def view(self, tensor: str, output: str) -> None:
        """The same elements under another name."""
