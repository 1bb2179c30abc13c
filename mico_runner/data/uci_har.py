"""Human Activity Recognition Using Smartphones in its official files (UCI Machine Learning Repository, Anguita et al. 2013).

<folder>/train/X_train.txt    561 numbers a line, a window of 2.56 s each, separated by spaces
<folder>/train/y_train.txt    its activity, 1 to 6
<folder>/train/subject_train.txt, perhaps: who wore the phone; and the same of test
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from mico_runner.data import register
from mico_runner.data.dataset import LARGEST, Split
from mico_runner.data.files import lines_of, read_text
from mico_runner.errors import UsageError

FEATURES = 561
CLASSES = 6
MAX_BYTES = 256 << 20  # four times X_train.txt
_NUMBERS = re.compile(r"[-+.eE\d\s]*", re.ASCII)  # neither nan nor inf
_WHOLE = re.compile(r"\s*\d{1,9}\s*", re.ASCII)


@register(
    "uci-har",
    own="a folder",
    params={
        "standardise": {
            "type": "boolean",
            "default": True,
            "meta": {"help": "features less their mean, over their standard deviation, both of the training part"},
        }
    },
)
def load(files: list[Path], standardise: bool = True) -> tuple[Split, Split]:
    """float32 features (N, 561) and activities 0 to 5 of the official training and test part; `subject` is a fact where it is there.

    Raises UsageError: a file is missing, or a line has other numbers than the official files have.
    """
    (folder,) = files
    inside = folder / "UCI HAR Dataset"  # as the archive unpacks
    folder = inside if inside.is_dir() else folder
    train, test = (_part(folder, part) for part in ("train", "test"))
    if standardise:
        mean, spread = train.floats().mean(axis=0), train.floats().std(axis=0)
        spread[spread == 0] = 1
        train, test = (Split((s.floats() - mean) / spread, s.targets, about=s.about) for s in (train, test))
    return train, test


def _part(folder: Path, part: str) -> Split:
    features = _features(folder / part / f"X_{part}.txt")
    labels = _whole(folder / part / f"y_{part}.txt", len(features), 1, CLASSES) - 1
    subjects = folder / part / f"subject_{part}.txt"
    about = {"subject": _whole(subjects, len(features), 1, 10**9)} if subjects.is_file() else {}
    return Split(features, labels, about=about)


def _lines(path: Path) -> list[str]:
    lines = lines_of(read_text(path, MAX_BYTES))
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise UsageError(f"{path}: found no line; allowed: one or more")
    return lines


def _features(path: Path) -> np.ndarray:
    rows = []
    for number, line in enumerate(_lines(path), start=1):
        cells = line.split()
        if len(cells) != FEATURES or not _NUMBERS.fullmatch(line):
            what = "something else than numbers" if len(cells) == FEATURES else f"{len(cells)} values"
            raise UsageError(f"{path}:{number}: found {what}; allowed: {FEATURES} numbers separated by spaces")
        try:
            row = np.array([float(cell) for cell in cells])
        except ValueError as error:
            raise UsageError(f"{path}:{number}: {error}; allowed: {FEATURES} numbers separated by spaces") from None
        if not (np.abs(row) <= LARGEST).all():
            raise UsageError(f"{path}:{number}: found a number beyond those of float32; allowed: up to {LARGEST:.3g}")
        rows.append(row.astype(np.float32))
    return np.stack(rows)


def _whole(path: Path, count: int, low: int, high: int) -> np.ndarray:
    lines = _lines(path)
    if len(lines) != count:
        raise UsageError(f"{path}: found {len(lines)} lines; allowed: {count}, one for each line of features")
    for number, line in enumerate(lines, start=1):
        if not _WHOLE.fullmatch(line) or not low <= int(line) <= high:
            raise UsageError(f"{path}:{number}: found {line[:40]!r}; allowed: a whole number from {low} to {high}")
    return np.array([int(line) for line in lines], np.int64)
