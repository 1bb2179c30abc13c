"""Bytes of a file as arrays, one after another, to the last."""

from __future__ import annotations

from math import prod
from pathlib import Path

import numpy as np

from mico_runner.errors import UsageError


class Content:
    """What is left to read of a file; every array is checked to be there and finite."""

    def __init__(self, path: Path, raw: bytes, at: int = 0) -> None:
        self.path, self._raw, self._at = path, raw, at

    def take(self, what: str, kind: str, *shape: int) -> np.ndarray:
        """The next array, of a little-endian type as "<f4". Raises UsageError: the file ends before, or a float is not finite."""
        size = np.dtype(kind).itemsize * prod(shape)
        if self._at + size > len(self._raw):
            left = len(self._raw) - self._at
            raise UsageError(f"{self.path}: {what}: found {left:,} bytes; allowed: {size:,}")
        found = np.frombuffer(self._raw, kind, prod(shape), self._at).reshape(shape)
        self._at += size
        if found.dtype.kind == "f" and not np.isfinite(found).all():
            first = np.argwhere(~np.isfinite(found))[0].tolist()
            raise UsageError(f"{self.path}: {what}: found {found[tuple(first)]} at {first}; allowed: finite numbers")
        return found

    def finish(self) -> None:
        """Raise UsageError where bytes are left over."""
        if left := len(self._raw) - self._at:
            raise UsageError(f"{self.path}: found {left:,} bytes behind the last weight; allowed: none")
