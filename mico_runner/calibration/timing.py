"""Timing on a machine that does other things too: warm-up, repeats until the median is known well enough, and whether it was quiet."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

WARM_UP = 3  # calls: allocation, code paths chosen on the first call
MIN_SAMPLES = 15
MAX_SAMPLES = 1000
QUIET_SPREAD = 0.10  # ninth decile over median of a fixed computation, less one


@dataclass(frozen=True)
class Timing:
    """Seconds per call: median, spread between the quartiles, half width of the median's 95 % interval, and the samples."""

    median: float
    spread: float
    half_width: float
    samples: list[float]


def clock(threads: int) -> Callable[[], float]:
    """Of one thread its own CPU time, so that the time slices of other programs do not count; of several threads the wall clock."""
    return time.thread_time if threads == 1 else time.perf_counter


def measure(
    call: Callable[[], Any], prepare: Callable[[], Any], tolerance: float, limit_s: float, threads: int = 1
) -> Timing:
    """Time `call` until the median's 95 % interval is within `tolerance` (a fraction), or `limit_s` seconds have passed.

    A sample is one call after `prepare`, which is not timed: repeated calls without anything between them would find their code and data
    nearer than a network does. `threads`: how many `call` computes with; see `clock`.
    """
    now = clock(threads)
    for _ in range(WARM_UP):
        prepare()
        call()
    started = time.perf_counter()
    samples: list[float] = []
    while True:
        prepare()
        begin = now()
        call()
        samples.append(now() - begin)
        passed = time.perf_counter() - started
        if len(samples) < MIN_SAMPLES and passed < 3 * limit_s:
            continue
        found = summary(samples)
        if found.half_width <= tolerance * found.median or passed > limit_s or len(samples) >= MAX_SAMPLES:
            return found


def summary(samples: list[float]) -> Timing:
    """Median and spread; the interval from order statistics (binomial), which needs no assumption about the noise."""
    ordered = np.sort(samples)
    n = len(ordered)
    reach = 0.98 * np.sqrt(n)  # 1.96 standard deviations of a binomial(n, 1/2)
    low, high = ordered[max(0, int(np.floor(n / 2 - reach)))], ordered[min(n - 1, int(np.ceil(n / 2 + reach)))]
    quartiles = np.quantile(ordered, [0.25, 0.75])
    return Timing(float(np.median(ordered)), float(np.ptp(quartiles)), float(high - low) / 2, list(map(float, samples)))


def restlessness(samples: int = 200) -> float:
    """How much longer the slowest tenth of equal computations takes than the median one, as a fraction; quiet machines: under 0.1."""
    values = np.random.default_rng(0).random(20_000)
    times = []
    for _ in range(samples):
        begin = time.perf_counter()
        np.sort(values)
        times.append(time.perf_counter() - begin)
    return float(np.quantile(times, 0.9) / np.median(times) - 1)
