"""Human Activity Recognition Using Smartphones in its official files (UCI Machine Learning Repository, Anguita et al. 2013).

<folder>/train/X_train.txt    561 numbers a line, a window of 2.56 s each, separated by spaces
<folder>/train/y_train.txt    its activity, 1 to 6
<folder>/train/subject_train.txt, perhaps: who wore the phone; and the same of test

The folder is what the archive unpacks to, or the archive itself, "UCI HAR Dataset.zip".
"""

from __future__ import annotations

import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mico_runner.data import register
from mico_runner.data.dataset import LARGEST, Split
from mico_runner.data.files import decoded, lines_of, opened, read_text
from mico_runner.errors import UsageError

INSIDE = "UCI HAR Dataset"  # the archive's folder
FILES = [f"{part}/{kind}_{part}.txt" for part in ("train", "test") for kind in ("X", "y", "subject")]
FEATURES = 561
CLASSES = 6
MAX_BYTES = 256 << 20  # four times X_train.txt
_NUMBERS = re.compile(r"[-+.eE\d\s]*", re.ASCII)  # neither nan nor inf
_WHOLE = re.compile(r"\s*\d{1,9}\s*", re.ASCII)


@dataclass(frozen=True)
class _Text:
    """What is read, and the path that messages name."""

    path: Path
    content: str


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

    Raises UsageError: a file is missing, the archive is damaged, or a line has other numbers than the official files have.
    """
    (place,) = files
    texts = _of_archive(place) if place.suffix == ".zip" and not place.is_dir() else _of_folder(place)
    train, test = (_part(texts, part) for part in ("train", "test"))
    if standardise:
        mean, spread = train.floats().mean(axis=0), train.floats().std(axis=0)
        spread[spread == 0] = 1
        train, test = (Split((s.floats() - mean) / spread, s.targets, about=s.about) for s in (train, test))
    return train, test


def _of_folder(folder: Path) -> dict[str, _Text]:
    """The files by what they are called in `FILES`; a subject file need not be there."""
    folder = inside if (inside := folder / INSIDE).is_dir() else folder
    wanted = {name: folder / name for name in FILES if "subject" not in name or (folder / name).is_file()}
    return {name: _Text(path, read_text(path, MAX_BYTES)) for name, path in wanted.items()}


def _of_archive(path: Path) -> dict[str, _Text]:
    """The same. Nothing is unpacked onto the disk."""
    found = {}
    with opened(path) as handle:
        try:
            with zipfile.ZipFile(handle) as archive:
                there = set(archive.namelist())
                for name in FILES:
                    where = path / INSIDE / name
                    if f"{INSIDE}/{name}" in there:
                        with archive.open(f"{INSIDE}/{name}") as file:
                            raw = file.read(MAX_BYTES + 1)
                        if len(raw) > MAX_BYTES:
                            raise UsageError(f"{where}: more than {MAX_BYTES:,} bytes; allowed: at most that many")
                        found[name] = _Text(where, decoded(where, raw))
                    elif "subject" not in name:
                        raise UsageError(f"{where}: not in the archive; allowed: the official one, as it is")
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError) as error:
            raise UsageError(f"{path}: not a whole zip archive ({error})") from None
    return found


def _part(texts: dict[str, _Text], part: str) -> Split:
    features = _features(texts[f"{part}/X_{part}.txt"])
    labels = _whole(texts[f"{part}/y_{part}.txt"], len(features), 1, CLASSES) - 1
    subjects = texts.get(f"{part}/subject_{part}.txt")
    about = {} if subjects is None else {"subject": _whole(subjects, len(features), 1, 10**9)}
    return Split(features, labels, about=about)


def _lines(text: _Text) -> list[str]:
    lines = lines_of(text.content)
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise UsageError(f"{text.path}: found no line; allowed: one or more")
    return lines


def _features(text: _Text) -> np.ndarray:
    rows = []
    for number, line in enumerate(_lines(text), start=1):
        cells = line.split()
        if len(cells) != FEATURES or not _NUMBERS.fullmatch(line):
            what = "something else than numbers" if len(cells) == FEATURES else f"{len(cells)} values"
            raise UsageError(f"{text.path}:{number}: found {what}; allowed: {FEATURES} numbers separated by spaces")
        try:
            row = np.array([float(cell) for cell in cells])
        except ValueError as error:
            raise UsageError(
                f"{text.path}:{number}: {error}; allowed: {FEATURES} numbers separated by spaces"
            ) from None
        if not (np.abs(row) <= LARGEST).all():
            raise UsageError(
                f"{text.path}:{number}: found a number beyond those of float32; allowed: up to {LARGEST:.3g}"
            )
        rows.append(row.astype(np.float32))
    return np.stack(rows)


def _whole(text: _Text, count: int, low: int, high: int) -> np.ndarray:
    lines = _lines(text)
    if len(lines) != count:
        raise UsageError(f"{text.path}: found {len(lines)} lines; allowed: {count}, one for each line of features")
    for number, line in enumerate(lines, start=1):
        if not _WHOLE.fullmatch(line) or not low <= int(line) <= high:
            raise UsageError(f"{text.path}:{number}: found {line[:40]!r}; allowed: a whole number from {low} to {high}")
    return np.array([int(line) for line in lines], np.int64)
