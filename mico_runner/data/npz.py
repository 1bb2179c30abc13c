"""Arrays of one .npz file, as `numpy.savez` writes it: inputs and targets, and what else is known of each sample."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from mico_runner.data import files, register
from mico_runner.data.dataset import Split
from mico_runner.errors import UsageError

MAX_BYTES = 4 << 30  # of all arrays together, inflated
PARTS = ("x", "y")
TEST_PARTS = ("x_test", "y_test")


@register("npz", own="a file")
def load(files: list[Path]) -> tuple[Split, Split | None]:
    """Arrays `x` (N, ...) and `y` (N, ...); with `x_test` and `y_test`, the test part; any other (N,) is a fact of each sample.

    Raises UsageError: the file is damaged, holds Python objects, lacks an array, or has one of another number of samples.
    """
    (path,) = files
    arrays = read(path)
    missing = [name for name in PARTS if name not in arrays]
    missing += [name for name in TEST_PARTS if name not in arrays and arrays.keys() & set(TEST_PARTS)]
    if missing:
        raise UsageError(
            f"{path}: no array {' or '.join(missing)} in the file; found {', '.join(arrays) or 'none'}; allowed: x and y, "
            "perhaps x_test and y_test"
        )
    x, y = (arrays[name] for name in PARTS)
    _check_lengths(path, {name: arrays[name] for name in PARTS})
    facts = {name: value for name, value in arrays.items() if name not in PARTS + TEST_PARTS}
    for name, value in facts.items():
        if value.shape != x.shape[:1]:
            raise UsageError(
                f"{path}: array {name} has shape {value.shape}; allowed: {x.shape[:1]}, a fact of each sample"
            )
    train = Split(x, y, about=facts)
    if TEST_PARTS[0] not in arrays:
        return train, None
    _check_lengths(path, {name: arrays[name] for name in TEST_PARTS})
    return train, Split(*(arrays[name] for name in TEST_PARTS))


def _check_lengths(path: Path, arrays: dict[str, np.ndarray]) -> None:
    lengths = {name: len(value) if value.ndim else 0 for name, value in arrays.items()}
    if len(set(lengths.values())) > 1 or 0 in lengths.values():
        found = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise UsageError(f"{path}: samples in its arrays: {found}; allowed: as many in each, one or more")


def read(path: Path) -> dict[str, np.ndarray]:
    """All arrays by name. Raises UsageError: no whole file, more than `MAX_BYTES`, or Python objects in it."""
    with files.opened(path) as handle:
        try:
            with zipfile.ZipFile(handle) as archive:
                size = sum(member.file_size for member in archive.infolist())
            if size > MAX_BYTES:
                raise UsageError(f"{path}: inflates to {size:,} bytes; allowed: at most {MAX_BYTES:,}")
            handle.seek(0)
            with np.load(handle, allow_pickle=False) as found:
                return {name: found[name] for name in found.files}
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, KeyError, NotImplementedError) as error:
            raise UsageError(f"{path}: not a whole .npz file of plain arrays ({error})") from None
