"""WAV files of whole numbers (PCM): 8, 16, 24 or 32 bits, any number of channels.

The form is RIFF chunks, of which "fmt " and "data" are used (Multimedia Programming Interface and Data Specifications 1.0, IBM and
Microsoft, 1991; WAVEFORMATEXTENSIBLE for the newer "fmt "). The standard library's `wave` reads the newer one since Python 3.12 only.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from mico_runner.data.files import opened
from mico_runner.errors import UsageError

RATES = (1_000, 768_000)  # samples a second: beyond what is sold; a resampling filter grows with them
MAX_BYTES = 256 << 20  # of one file: 25 minutes of stereo at 44.1 kHz and 16 bits
BITS = (8, 16, 24, 32)
_PCM, _EXTENSIBLE = 1, 0xFFFE
_PCM_FORMAT = struct.pack("<H", _PCM) + bytes.fromhex("0000 0000 1000 8000 00aa 0038 9b71")  # KSDATAFORMAT_SUBTYPE_PCM


@dataclass(frozen=True)
class Header:
    """Attributes:
    rate: samples a second.
    width: bytes of a sample.
    samples: of each channel.
    start: of the samples in the file, in bytes.
    """

    rate: int
    channels: int
    width: int
    samples: int
    start: int


def header(path: Path) -> Header:
    """What the file says of itself. Raises UsageError: it is no such file, or shorter than it says."""
    with opened(path) as file:
        return _header(path, file)


def read(path: Path) -> np.ndarray:
    """float64 (samples,) from -1 to below 1, the channels' average; of 32 bits the upper 24. Raises as `header` does."""
    with opened(path) as file:
        head = _header(path, file)
        file.seek(head.start)
        count = head.samples * head.channels
        raw = np.frombuffer(file.read(count * head.width), np.uint8)
    if len(raw) != count * head.width:
        raise UsageError(f"{path}: cut short while it was read")
    if head.width == 1:
        values = raw / 128 - 1  # without a sign, as the form has it for 8 bits
    else:
        used = min(head.width, 3)
        upper = np.zeros((count, 4), np.uint8)  # the upper bytes of 32 bits
        upper[:, 4 - used :] = raw.reshape(count, head.width)[:, head.width - used :]
        values = upper.view("<i4")[:, 0] / float(1 << 31)
    found: np.ndarray = values.reshape(-1, head.channels).mean(axis=1)
    return found


def _header(path: Path, file: BinaryIO) -> Header:
    size = os.fstat(file.fileno()).st_size
    if size > MAX_BYTES:
        raise UsageError(f"{path}: found {size:,} bytes; allowed: at most {MAX_BYTES:,}")
    riff = file.read(12)
    if riff[:4] != b"RIFF" or riff[8:] != b"WAVE":
        raise UsageError(f"{path}: no WAV file: it does not begin with RIFF and WAVE")
    form: tuple[int, int, int] | None = None
    while len(start := file.read(8)) == 8:
        name, length = start[:4], int.from_bytes(start[4:], "little")
        if name == b"data":
            if form is None:
                break
            rate, channels, width = form
            if not 0 < length <= size - file.tell() or length % (channels * width):
                there = f"{length:,} bytes of samples by its header, {size - file.tell():,} in the file"
                raise UsageError(f"{path}: found {there}; allowed: whole samples, one or more, all there")
            return Header(rate, channels, width, length // (channels * width), file.tell())
        after = file.tell() + length + length % 2
        if name == b"fmt ":
            form = _form(path, file.read(min(length, 40)))
        file.seek(after)
    raise UsageError(f"{path}: no WAV file: it has no chunk 'fmt ' with a chunk 'data' after it")


def _form(path: Path, raw: bytes) -> tuple[int, int, int]:
    """Rate, channels, bytes of a sample."""
    if len(raw) < 16:
        raise UsageError(f"{path}: cut short: its chunk 'fmt ' has {len(raw)} bytes; allowed: 16 or more")
    kind, channels, rate, _, align, bits = struct.unpack_from("<HHIIHH", raw)
    if kind != _PCM and not (kind == _EXTENSIBLE and raw[24:40] == _PCM_FORMAT):
        raise UsageError(f"{path}: found samples of format {kind}; allowed: {_PCM}, whole numbers (PCM)")
    if bits not in BITS:
        raise UsageError(f"{path}: found samples of {bits} bits; allowed: {', '.join(map(str, BITS))}")
    if not channels or align != channels * bits // 8:
        raise UsageError(
            f"{path}: found {align} bytes for {channels} channels of {bits} bits; allowed: as many as they need"
        )
    if not RATES[0] <= rate <= RATES[1]:
        raise UsageError(f"{path}: found {rate:,} samples a second; allowed: {RATES[0]:,} to {RATES[1]:,}")
    return rate, channels, bits // 8
