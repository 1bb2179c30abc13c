"""Samples that are decoded when they are asked for, and kept from then on where all of them are few bytes."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mico_runner.tasks.base import Shape

HELD_BYTES = 256 << 20  # all samples of a part: what fits is decoded once, what does not each time


class Decoded:
    """Samples of one shape and type, each made by a call: `data.dataset.Stored`.

    Args:
        decode: of the number of a sample, counted from 0; what it raises is raised by `read`.
    """

    def __init__(
        self, count: int, sample: Shape, dtype: np.dtype[np.generic], decode: Callable[[int], np.ndarray]
    ) -> None:
        self.shape: Shape = (count, *sample)
        self.dtype = np.dtype(dtype)
        self._decode = decode
        fits = math.prod(self.shape) * self.dtype.itemsize <= HELD_BYTES
        self._held = np.empty(self.shape, self.dtype) if fits else None
        self._known = np.zeros(count, bool)  # which of them are held

    def __len__(self) -> int:
        return self.shape[0]

    def keep(self, row: int, sample: np.ndarray) -> None:
        """Note a sample that is decoded already, where samples are kept."""
        if self._held is not None:
            self._held[row] = sample
            self._known[row] = True

    def read(self, rows: NDArray[np.intp]) -> np.ndarray:
        """Those samples, (rows, ...)."""
        if self._held is None:
            found = np.empty((len(rows), *self.shape[1:]), self.dtype)
            for i, row in enumerate(rows):
                found[i] = self._decode(int(row))
            return found
        for row in rows[~self._known[rows]]:
            self.keep(row, self._decode(int(row)))
        kept: np.ndarray = self._held[rows]
        return kept
