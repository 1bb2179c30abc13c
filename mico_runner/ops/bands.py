"""Bands of the mel scale: what the operator `log_mel` computes, and in floats."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mico_runner.errors import UsageError

MOST_FRAME = 1 << 15  # samples, so that 16 bits hold the number of a frequency


@dataclass(frozen=True)
class Bands:
    """What is computed of a sound: y = ln(1 + E / floor), E the energy of a frame in a band.

    E sums |X|^2 with the weights of the band's triangle, X the Fourier transform of the frame's samples (-1 .. 1) times a Hann window
    (periodic), filled up with zeros to a power of two. Triangles are linear and equally spaced in mel = 2595 log10(1 + Hz / 700), have
    height 1 and begin where the one before has its peak (The HTK Book, 5.4 and HSigP.c). Frame i begins at sample i * hop.

    Attributes:
        rate: samples a second.
        frame, hop: in samples.
        low, high: Hz, where the first band begins and the last ends.
        floor: the energy that counts as silence: below it y is nearly linear, and 0 at 0. A sine of amplitude 1 has (frame / 4)^2.

    Raises UsageError: a value is not allowed, or a band is so narrow that it holds no frequency of the transform.
    """

    rate: int
    frame: int
    hop: int
    bands: int
    low: float
    high: float
    floor: float

    def __post_init__(self) -> None:
        for key, allowed, holds in (
            ("frame", f"4 .. {MOST_FRAME}", 4 <= self.frame <= MOST_FRAME),
            ("hop", "from 1 on", self.hop >= 1),
            ("bands", "from 1 on", self.bands >= 1),
            ("high", f"above 0, up to half the rate, {self.rate / 2:g}", 0 < self.high <= self.rate / 2),
            ("low", f"from 0 on, below high, {self.high:g}", 0 <= self.low < self.high),
            ("floor", "above 0", self.floor > 0),
        ):
            if not holds:
                raise UsageError(f"log-mel: {key} is {getattr(self, key)}; allowed: {allowed}")
        empty = np.flatnonzero(self.filters.sum(1) == 0)
        if len(empty):
            raise UsageError(
                f"log-mel: bands is {self.bands}: number {empty[0]}, counted from 0, holds none of the frequencies"
                f" {self.rate / self.size:g} Hz apart; allowed: fewer bands, or a longer frame than {self.frame}"
            )

    @property
    def size(self) -> int:
        """Of the transform."""
        return 1 << (self.frame - 1).bit_length()

    @cached_property
    def places(self) -> np.ndarray:
        """(size / 2 + 1,): how many bands' widths each frequency lies above `low`; band i is between i and i + 2."""
        hertz = np.arange(self.size // 2 + 1) * self.rate / self.size
        mel, low, high = (2595 * np.log10(1 + np.asarray(f) / 700) for f in (hertz, self.low, self.high))
        found: np.ndarray = (mel - low) / (high - low) * (self.bands + 1)
        return found

    @cached_property
    def filters(self) -> np.ndarray:
        """(bands, size / 2 + 1): the weights of each band."""
        peaks = np.arange(1, self.bands + 1)[:, None]
        found: np.ndarray = np.maximum(0, 1 - np.abs(self.places - peaks))
        return found

    def frames(self, samples: int) -> int:
        """Those that lie within so many samples; 0 of fewer than one has."""
        return max(0, 1 + (samples - self.frame) // self.hop)

    def of(self, sound: np.ndarray) -> np.ndarray:
        """float32 (frames, bands) of a sound (samples,), at least one frame long."""
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.frame) / self.frame)
        cut = np.lib.stride_tricks.sliding_window_view(sound, self.frame)[:: self.hop]
        spectrum = np.fft.rfft(cut * window, self.size)
        energy = (spectrum.real**2 + spectrum.imag**2) @ self.filters.T
        found: np.ndarray = np.log1p(energy / self.floor).astype(np.float32)
        return found
