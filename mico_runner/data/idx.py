"""The idx format of MNIST and its relatives (yann.lecun.com's description): magic, dimensions, bytes; gzipped or not."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np

from mico_runner.data import files, register
from mico_runner.data.dataset import Split
from mico_runner.errors import UsageError

MAX_BYTES = 2 << 30  # of one file, inflated: 40 times MNIST's largest
_UINT8 = 8


def read_idx(path: Path) -> np.ndarray:
    """Array of an idx file of unsigned bytes. Raises UsageError when it is none, cut short, or larger than its header or MAX_BYTES say."""
    with files.inflated(path, MAX_BYTES) as stream:
        magic = stream.read(4)
        if len(magic) < 4 or magic[:3] != bytes([0, 0, _UINT8]):
            raise UsageError(
                f"{path}: not an idx file of unsigned bytes; it starts with {magic.hex()}, expected 000008.."
            )
        sizes = stream.read(4 * magic[3])
        if len(sizes) < 4 * magic[3]:
            raise UsageError(f"{path}: its header of {magic[3]} dimensions is cut short")
        shape = struct.unpack(f">{magic[3]}I", sizes)
        count, said = math.prod(shape), " x ".join(map(str, shape))
        if count > MAX_BYTES:
            raise UsageError(f"{path}: its header says {said}; allowed: at most {MAX_BYTES:,} bytes of data")
        raw = stream.read(count + 1)
    if len(raw) != count:
        found = f"more than {count}" if len(raw) > count else len(raw)
        raise UsageError(f"{path}: {found} bytes of data, but its header says {said}")
    return np.frombuffer(raw, np.uint8).reshape(shape)


@register("idx")
def load(files: list[Path]) -> tuple[Split, Split]:
    """Images and labels of the four official files, found by their names."""

    def part(prefix: str, dimensions: int) -> np.ndarray:
        path = next((f for f in files if f.name.startswith(prefix)), None)
        if path is None:
            raise UsageError(f"no file {prefix}* among {', '.join(f.name for f in files)}")
        array = read_idx(path)
        if array.ndim != dimensions or array.size == 0:
            said = " x ".join(map(str, array.shape)) or "no dimension"
            raise UsageError(f"{path}: found {said}; allowed: {dimensions} dimensions, none of them 0")
        return array

    def split(name: str) -> Split:
        images, labels = part(f"{name}-images", 3), part(f"{name}-labels", 1)
        if len(images) != len(labels):
            raise UsageError(f"{files[0].parent}: {len(images)} {name} images, but {len(labels)} labels")
        return Split(images[:, None], labels.astype(np.int64))

    train, test = split("train"), split("t10k")
    if train.inputs.shape[1:] != test.inputs.shape[1:]:
        shapes = [" x ".join(map(str, s.inputs.shape[2:])) for s in (train, test)]
        raise UsageError(f"{files[0].parent}: training images of {shapes[0]}, but test images of {shapes[1]}")
    return train, test
