"""Log-mel features of sound, in floats."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mico_runner.errors import UsageError


@dataclass(frozen=True)
class LogMel:
    """y = ln(1 + E / floor), E the energy of a frame in a band; nothing is standardised.

    E sums |X|^2 with the weights of the band's triangle, X the Fourier transform of the frame's samples (-1 .. 1) times a Hann window
    (periodic), filled up with zeros to a power of two. Triangles are linear and equally spaced in mel = 2595 log10(1 + Hz / 700), have
    height 1 and begin where the one before has its peak (The HTK Book, 5.4). Frame i begins at sample i * hop; what is left at the end
    of a sound and fills no frame is not used.

    Attributes:
        rate: samples a second.
        frame, hop: in samples.
        low, high: Hz, where the first band begins and the last ends.
        floor: the energy that counts as silence: below it y is nearly linear, and 0 at 0. A sine of amplitude 1 has (frame / 4)^2.

    Raises UsageError: the bands do not lie between 0 and half the rate, or one is so narrow that it holds no frequency.
    """

    rate: int
    frame: int
    hop: int
    bands: int
    low: float
    high: float
    floor: float

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= self.rate / 2:
            raise UsageError(
                f"log-mel: found bands from {self.low:g} to {self.high:g} Hz; allowed: low below high, high up to half the rate, "
                f"{self.rate / 2:g}"
            )
        empty = np.flatnonzero(self.filters.sum(axis=1) == 0)
        if len(empty):
            raise UsageError(
                f"log-mel: of {self.bands} bands number {empty[0]}, counted from 0, holds none of the frequencies "
                f"{self.rate / self.size:g} Hz apart; allowed: fewer bands, or a longer frame than {self.frame}"
            )

    @property
    def size(self) -> int:
        """Of the transform."""
        return 1 << (self.frame - 1).bit_length()

    @cached_property
    def filters(self) -> np.ndarray:
        """(bands, size / 2 + 1): the weights of each band."""
        hertz = np.arange(self.size // 2 + 1) * self.rate / self.size
        mel, low, high = (2595 * np.log10(1 + np.asarray(f) / 700) for f in (hertz, self.low, self.high))
        places = (mel - low) / (high - low) * (self.bands + 1)  # band i is between i and i + 2
        peaks = np.arange(1, self.bands + 1)[:, None]
        found: np.ndarray = np.maximum(0, 1 - np.abs(places - peaks))
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
