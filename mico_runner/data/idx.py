"""The idx format of MNIST and its relatives (yann.lecun.com's description): magic, dimensions, bytes; gzipped."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np

from mico_runner.data import register
from mico_runner.data.tasks import Split
from mico_runner.errors import UsageError

_UINT8 = 8


def read_idx(path: Path) -> np.ndarray:
    """Array of a gzipped idx file of unsigned bytes. Raises UsageError when it is not one, or cut short."""
    try:
        raw = gzip.decompress(path.read_bytes())
    except (OSError, EOFError) as error:
        raise UsageError(f"{path}: not a complete gzip file ({error})") from None
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] != _UINT8:
        raise UsageError(
            f"{path}: not an idx file of unsigned bytes; it starts with {raw[:4].hex()}, expected 000008.."
        )
    header = 4 + 4 * raw[3]
    shape = struct.unpack(f">{raw[3]}I", raw[4:header])
    if len(raw) - header != int(np.prod(shape)):
        raise UsageError(
            f"{path}: {len(raw) - header} bytes of data, but its header says {' x '.join(map(str, shape))}"
        )
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)


@register("idx")
def load(files: list[Path]) -> tuple[Split, Split]:
    """Images and labels of the four official files, found by their names."""

    def split(part: str) -> Split:
        images = read_idx(next(f for f in files if f.name.startswith(f"{part}-images")))
        labels = read_idx(next(f for f in files if f.name.startswith(f"{part}-labels")))
        if len(images) != len(labels):
            raise UsageError(f"{files[0].parent}: {len(images)} {part} images, but {len(labels)} labels")
        return Split(images[:, None], labels.astype(np.int64))

    return split("train"), split("t10k")
