"""Series in the .ts files of timeseriesclassification.com, of several channels and one length.

A line of data has the channels one after another, `:` between them, `,` between the values of a channel; the class comes last.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from mico_runner.data import register
from mico_runner.data.dataset import LARGEST, Split
from mico_runner.data.files import lines_of, read_text
from mico_runner.errors import UsageError

_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*", re.ASCII)
_FIXED = {"timestamps": "false", "missing": "false", "equallength": "true"}  # what is read; by key, in lower case


@register("ts")
def load(files: list[Path]) -> tuple[Split, Split]:
    """float32 series (N, channels, length) and classes in the order of the header, of a training and a test file.

    Raises UsageError, with the line: a header that says what is not read (time stamps, missing values, several lengths), a series of
        another size than the first one, a value that is no number, a class that the header does not name.
    """
    (train, names), (test, others) = (_read(path) for path in files)
    if names != others or train.input_shape != test.input_shape:
        raise UsageError(
            f"{files[1]}: series {test.input_shape} of classes {', '.join(others)}; allowed: as in {files[0]},"
            f" {train.input_shape} of {', '.join(names)}"
        )
    return train, test


def _read(path: Path) -> tuple[Split, list[str]]:
    header: dict[str, str] = {}
    series: list[np.ndarray] = []
    labels: list[int] = []
    classes: list[str] = []
    for number, line in enumerate(lines_of(read_text(path)), start=1):
        where, text = f"{path}:{number}", line.strip()
        if not text or text.startswith("#"):
            continue
        if "data" not in header:
            key, _, value = text.removeprefix("@").partition(" ")
            if not text.startswith("@"):
                raise UsageError(f"{where}: found {text[:40]!r} before @data; allowed: lines that begin with @ or #")
            header[key.lower()] = value.strip()
            if key.lower() == "data":
                classes = _classes(where, header)
            continue
        *channels, label = text.split(":")
        if label not in classes:
            raise UsageError(f"{where}: found the class {label[:40]!r}; allowed: {', '.join(classes)}")
        found = _values(where, channels)
        if series and found.shape != series[0].shape:
            raise UsageError(f"{where}: found a series of {found.shape}; allowed: {series[0].shape}, as the first one")
        series.append(found)
        labels.append(classes.index(label))
    if not series:
        raise UsageError(f"{path}: found no series; allowed: one or more below @data")
    return Split(np.stack(series), np.array(labels, np.int64)), classes


def _classes(where: str, header: dict[str, str]) -> list[str]:
    for key, allowed in _FIXED.items():
        if header.get(key, allowed).lower() != allowed:
            raise UsageError(f"{where}: found @{key} {header[key]}; allowed: {allowed}")
    says, *names = header.get("classlabel", "").split() or [""]
    if says.lower() != "true" or not names or len(set(names)) < len(names):
        raise UsageError(
            f"{where}: found @classLabel {header.get('classlabel', '')!r}; allowed: true and the names, each once"
        )
    return names


def _values(where: str, channels: list[str]) -> np.ndarray:
    rows = [channel.split(",") for channel in channels]
    if not rows or len({len(row) for row in rows}) > 1:
        found = ", ".join(str(len(row)) for row in rows[:20]) or "no channel"
        raise UsageError(f"{where}: found channels of {found} values; allowed: one length, and a class at the end")
    wrong = [value for row in rows for value in row if not _NUMBER.fullmatch(value) or abs(float(value)) > LARGEST]
    if wrong:
        raise UsageError(f"{where}: found the value {wrong[0][:40]!r}; allowed: numbers that float32 holds")
    return np.array(rows, np.float64).astype(np.float32)
