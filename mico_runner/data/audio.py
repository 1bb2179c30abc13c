"""A folder of sounds: WAV files as `data.wav` reads them.

Every file's header is read when the folder is loaded; its samples, when a network takes them (`decoded.Decoded`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np

from mico_runner.data import folders, register, wav
from mico_runner.data.dataset import Split
from mico_runner.data.decoded import Decoded
from mico_runner.errors import UsageError
from mico_runner.ops.bands import Bands

LARGEST = float(np.nextafter(np.float32(1), np.float32(0)))


@register(
    "audio",
    own="a folder",
    params={
        "rate": {
            "type": "integer",
            "min": 1000,
            "max": 768000,
            "nullable": True,
            "default": None,
            "meta": {"help": "samples a second; files of others are resampled; null: all must have one rate"},
        },
        "seconds": {
            "type": "number",
            "min": 0.001,
            "max": 3600,
            "nullable": True,
            "default": None,
            "meta": {"help": "zeros are added at the end, or samples cut off; null: all must have one length"},
        },
        "names": {
            "type": "string",
            "nullable": True,
            "default": None,
            "meta": {"help": "pattern of the files' names, as in '{label}_{speaker}_{take}'"},
        },
        "features": {
            "type": "dict",
            "nullable": True,
            "default": None,
            "schema": {
                "frame": {"type": "integer", "min": 4, "max": 32768, "required": True},
                "hop": {"type": "integer", "min": 1, "max": 32768, "required": True},
                "bands": {"type": "integer", "min": 1, "max": 512, "required": True},
                "low": {"type": "number", "min": 0, "default": 0},
                "high": {"type": "number", "nullable": True, "default": None},
                "floor": {"type": "number", "min": 1e-12, "default": 1e-6},
            },
            "meta": {"help": "log-mel energies instead of samples, see ops.bands.Bands; null: samples"},
        },
    },
)
def load(
    files: list[Path],
    rate: int | None = None,
    seconds: float | None = None,
    names: str | None = None,
    features: Mapping[str, Any] | None = None,
) -> tuple[Split, Split | None]:
    """float32 sounds (N, 1, samples) from -1 to below 1, or (N, 1, frames, bands) of log-mel, a class each.

    See `folders.listed` for where files lie and what their names say. Channels are averaged.

    Args:
        features: log-mel by `frame`, `hop`, `bands`, `low`, `high` (default: half the rate) and `floor` of `ops.bands.Bands`.

    Raises UsageError: a file is no WAV file of PCM, cut short, empty, or of another rate or length than the first one; reading samples
        may raise it as well.
    """
    (folder,) = files
    parts = folders.listed(folder, folders.SOUNDS, names)
    first = parts[0].paths[0]
    heads = [[wav.header(path) for path in part.paths] for part in parts]
    rate_ = rate or heads[0][0].rate
    length = round(seconds * rate_) if seconds is not None else _length(heads[0][0], rate_)
    for part, found in zip(parts, heads, strict=True):
        for path, head in zip(part.paths, found, strict=True):
            if rate is None and head.rate != rate_:
                allowed = f"{rate_:,}, as {first.name}, or give a rate"
                raise UsageError(f"{path}: found {head.rate:,} samples a second; allowed: {allowed}")
            if seconds is None and _length(head, rate_) != length:
                allowed = f"{length:,}, as {first.name}, or give seconds"
                raise UsageError(f"{path}: found {_length(head, rate_):,} samples; allowed: {allowed}")
    form = _Form(rate_, length, _features(features, rate_, length))
    train, *test = (_split(part, form) for part in parts)
    return train, test[0] if test else None


def _features(options: Mapping[str, Any] | None, rate: int, length: int) -> Bands | None:
    if options is None:
        return None
    high = options.get("high")
    given = {"low": 0.0, "floor": 1e-6, **options, "high": rate / 2 if high is None else high}
    found = Bands(rate, **given)
    if not found.frames(length):
        raise UsageError(f"log-mel: found a frame of {found.frame} samples; allowed: at most {length:,}, the sound's")
    return found


def _length(head: wav.Header, rate: int) -> int:
    """Samples after resampling: as many as `scipy.signal.resample_poly` gives."""
    return -(-head.samples * rate // head.rate)


@dataclass(frozen=True)
class _Form:
    """Attributes: length: samples of each sound."""

    rate: int
    length: int
    features: Bands | None

    @property
    def shape(self) -> tuple[int, ...]:
        of = self.features
        return (1, self.length) if of is None else (1, of.frames(self.length), of.bands)

    def sample(self, paths: Sequence[Path], row: int) -> np.ndarray:
        """float32, `shape`, of one file."""
        sound, rate = wav.read(paths[row]), wav.header(paths[row]).rate
        if rate != self.rate:
            from scipy.signal import resample_poly

            common = gcd(rate, self.rate)
            sound = np.clip(resample_poly(sound, self.rate // common, rate // common), -1.0, LARGEST)
        sound = np.pad(sound[: self.length], (0, max(0, self.length - len(sound)))).astype(np.float32)
        return sound[None] if self.features is None else self.features.of(sound)[None]


def _split(part: folders.Files, form: _Form) -> Split:
    inputs = Decoded(len(part.paths), form.shape, np.dtype(np.float32), partial(form.sample, part.paths))
    return Split(inputs, part.labels, about=part.about, named=True)
