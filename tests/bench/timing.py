"""Fair timing: the contenders take turns, the median counts."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def medians(contenders: list[Callable[[], object]], repeats: int = 7) -> list[float]:
    """Median seconds of each contender, after one call that is not counted; they alternate, so noise hits all alike."""
    seconds: list[list[float]] = [[] for _ in contenders]
    for repeat in range(repeats + 1):
        for contender, taken in zip(contenders, seconds, strict=True):
            start = time.perf_counter()
            contender()
            if repeat:
                taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in seconds]
