"""Recordings of several lengths in one .npz file: all samples one after another, where each begins, and what is known of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mico_runner.data import npz, register
from mico_runner.data.dataset import Split
from mico_runner.errors import UsageError

FULL_SCALE = 2.0**15  # of 16 bits


@register("recordings")
def load(files: list[Path], length: int) -> tuple[Split, None]:
    """float32 sounds (N, 1, length) from -1 to below 1, cut off or filled up with zeros at their end, and their labels.

    Arrays of the file: `samples` int16, `offsets` (N + 1), `label` (N,); any other (N,) is a fact of each recording.

    Raises UsageError: the file is damaged or has other arrays.
    """
    (path,) = files
    arrays = npz.read(path)
    missing = [name for name in ("samples", "offsets", "label") if name not in arrays]
    if missing:
        raise UsageError(f"{path}: no array {' or '.join(missing)} in the file; found {', '.join(arrays) or 'none'}")
    samples, offsets, labels = arrays.pop("samples"), arrays.pop("offsets"), arrays.pop("label")
    steps = np.diff(offsets) if offsets.ndim == 1 and np.issubdtype(offsets.dtype, np.integer) else np.zeros(0)
    if samples.dtype != np.int16 or len(steps) != len(labels) or (steps <= 0).any() or offsets[-1] != len(samples):
        raise UsageError(
            f"{path}: samples of {samples.dtype} and offsets do not fit; allowed: int16, {len(labels)} recordings"
        )
    sounds = np.zeros((len(labels), 1, length), np.float32)
    for sound, start, end in zip(sounds, offsets, offsets[1:], strict=False):
        part = samples[start : min(end, start + length)]
        sound[0, : len(part)] = part / FULL_SCALE
    return Split(
        sounds, labels, about={name: value for name, value in arrays.items() if value.shape == labels.shape}
    ), None
