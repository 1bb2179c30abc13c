"""The binary version of CIFAR-10 and CIFAR-100 (A. Krizhevsky, cs.toronto.edu/~kriz/cifar.html): a tar of batches of records.

A record is one byte per label, then 3,072 bytes: 1,024 red, green and blue pixels each, row by row.
"""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

import numpy as np

from mico_runner.data import files, register
from mico_runner.data.dataset import Split
from mico_runner.errors import UsageError

MAX_BYTES = 512 << 20  # of all that the archive inflates to: three times the official ones
IMAGE = (3, 32, 32)
BATCHES = {
    "train": ("data_batch_*.bin", "train.bin"),
    "test": ("test_batch.bin", "test.bin"),
}  # CIFAR-10's, CIFAR-100's names
_PIXELS = 3 * 32 * 32


@register("cifar-binary")
def load(files: list[Path], labels: Mapping[str, int] | None = None, use: str = "label") -> tuple[Split, Split]:
    """Images and labels of one archive in the layout of the official binary version; compressed by gzip, xz, or not.

    Args:
        labels: number of classes of each label byte of a record, in order; CIFAR-10's one by default.
        use: which of them is the label.

    Raises:
        UsageError: the archive is damaged, or its batches are missing, doubled, cut short, or have labels beyond the classes.
    """
    labels = labels or {"label": 10}
    (path,) = files
    batches = _batches(path, len(labels) + _PIXELS)

    def split(part: str) -> Split:
        found = {name: raw for name, raw in sorted(batches.items()) if _is_of(name, part)}
        if not found:
            raise UsageError(
                f"{path}: no {' or '.join(BATCHES[part])} in the archive; found {', '.join(batches) or 'none'}"
            )
        records = [np.frombuffer(raw, np.uint8).reshape(-1, len(labels) + _PIXELS) for raw in found.values()]
        for name, batch in zip(found, records, strict=True):
            _check_labels(f"{path}: {name}", batch, labels)
        whole = np.concatenate(records)
        images = np.ascontiguousarray(whole[:, len(labels) :]).reshape(-1, *IMAGE)
        return Split(images, whole[:, list(labels).index(use)].astype(np.int64))

    return split("train"), split("test")


def _is_of(name: str, part: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in BATCHES[part])


def _batches(path: Path, record: int) -> dict[str, bytes]:
    """The batches' bytes by name. Nothing is unpacked onto the disk: other members, links among them, are passed over."""
    found: dict[str, bytes] = {}
    with files.inflated(path, MAX_BYTES) as stream:
        try:
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for member in archive:
                    name = PurePosixPath(member.name).name
                    if not any(_is_of(name, part) for part in BATCHES):
                        continue
                    if not member.isreg() or member.issparse() or name in found:
                        what = "is there twice" if name in found else "is no plain file"
                        raise UsageError(f"{path}: {name} {what} in the archive")
                    if member.size % record or not 0 < member.size <= MAX_BYTES:
                        raise UsageError(
                            f"{path}: {name} has {member.size} bytes; allowed: records of {record} bytes each"
                        )
                    found[name] = archive.extractfile(member).read()
        except (tarfile.TarError, ValueError, OverflowError) as error:
            raise UsageError(f"{path}: not a complete tar archive ({error})") from None
    for name, raw in found.items():
        if len(raw) % record or not raw:
            raise UsageError(f"{path}: {name} is cut short")
    return found


def _check_labels(where: str, batch: np.ndarray, labels: Mapping[str, int]) -> None:
    for column, (name, classes) in enumerate(labels.items()):
        wrong = batch[:, column] >= classes
        if wrong.any():
            row = int(wrong.argmax())
            raise UsageError(f"{where}: record {row}: {name} is {batch[row, column]}; allowed: 0 to {classes - 1}")
