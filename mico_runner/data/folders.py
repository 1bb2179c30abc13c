"""Folders of files, one a sample: what each is of is said by the folder that it lies in, or by its name.

photos/cat/1.png                     class cat
photos/train/cat/1.png               class cat, of the training part; test/, val/ or validation/ is the test part
words/yes/ann_3.wav                  names "{speaker}_{take}": class yes, speaker ann, take 3
digits/7_ann_3.wav                   names "{label}_{speaker}_{take}": class 7, speaker ann, take 3
words/testing_list.txt               as Speech Commands has it (Warden 2018): "yes/ann_3.wav" each line, the test part; folders whose
                                     name begins with _ (words/_background_noise_) hold no class then
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mico_runner.data.files import lines_of, read_text
from mico_runner.errors import UsageError

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff")
SOUNDS = (".wav",)
LABEL = "label"  # the field of a name that is the class, and the fact that holds the class's name
FILE = "file"  # the fact that holds the path inside the folder
TRAIN = "train"
TESTS = ("test", "val", "validation")
LIST = "testing_list.txt"  # of Speech Commands
_WHOLE = re.compile(r"\d{1,18}", re.ASCII)
_FIELD = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Files:
    """One part's samples: `labels` int64 (N,), numbers of the classes; `about`: facts, text (N,) each."""

    paths: Sequence[Path]
    labels: np.ndarray
    about: Mapping[str, np.ndarray]


def listed(folder: Path, endings: Sequence[str], names: str | None) -> list[Files]:
    """The samples of a folder by path: the training part, and the test part where the folder has one.

    Classes are numbered in the order of their names; of numbers if all names are whole numbers.

    Args:
        endings: of the files' names, in lower case. Hidden files are passed over, and files of another ending beside folders of classes.
        names: pattern of the names without their ending. A field holds no character with which the text after any field begins.

    Raises UsageError: a file or folder is not where it belongs, a class is empty, a name does not fit the pattern.
    """
    pattern = _pattern(names) if names is not None else None
    parts = _parts(folder)
    found = [_samples(part, endings, names, pattern) for part in parts]
    if len(parts) == 1 and (folder / LIST).is_file():
        found = _by_list(folder, found[0])
    numbers = {label: i for i, label in enumerate(in_order({label for _, label, _ in found[0]}))}
    return [_files(folder, samples, numbers) for samples in found]


def in_order(labels: Iterable[str]) -> list[str]:
    """Names of classes in the order of their numbers."""
    names = sorted(labels)
    return sorted(names, key=int) if all(_WHOLE.fullmatch(name) for name in names) else names


def _parts(folder: Path) -> list[Path]:
    inside = {each.name for each in _entries(folder) if each.is_dir()}
    tests = [name for name in TESTS if name in inside]
    if TRAIN not in inside or not tests:
        return [folder]
    if len(inside) > 2:
        raise UsageError(
            f"{folder}: found the folders {', '.join(sorted(inside))}; allowed: {TRAIN} and one of {', '.join(TESTS)}, "
            "or classes"
        )
    return [folder / TRAIN, folder / tests[0]]


_Sample = tuple[Path, str, dict[str, str]]  # its file, class and facts


def _by_list(folder: Path, samples: list[_Sample]) -> list[list[_Sample]]:
    """Training and test part as the list says. Raises UsageError: it names a file that is no sample, or leaves nothing for a part."""
    path = folder / LIST
    known = {each.relative_to(folder).as_posix() for each, _, _ in samples}
    wanted = {}
    for number, line in enumerate(lines_of(read_text(path)), start=1):
        if name := line.strip():
            if name not in known:
                raise UsageError(
                    f"{path}:{number}: found {name[:80]!r}; allowed: samples of this folder, as class/file"
                )
            wanted[name] = number
    if not 0 < len(wanted) < len(samples):
        raise UsageError(f"{path}: names {len(wanted)} of {len(samples)} samples; allowed: some, not all")
    tested = [each[0].relative_to(folder).as_posix() in wanted for each in samples]
    return [[each for each, test in zip(samples, tested, strict=True) if test == part] for part in (False, True)]


def _samples(folder: Path, endings: Sequence[str], names: str | None, pattern: re.Pattern[str] | None) -> list[_Sample]:
    by_name = pattern is not None and LABEL in pattern.groupindex
    found: list[_Sample] = []
    is_listed = (folder / LIST).is_file()
    for each in _entries(folder):
        if is_listed and each.is_dir() and each.name.startswith("_"):
            continue
        if each.is_dir() and not by_name:
            files = _of_class(each, endings)
            found += [(file, each.name, _fields(file, names, pattern) | {LABEL: each.name}) for file in files]
        elif each.is_dir():
            raise UsageError(f"{each}: found a folder; allowed: files, as their names say what they are of")
        elif each.suffix.lower() in endings:
            if not by_name:
                raise UsageError(f"{each}: found a file beside the folders of classes; allowed: in one of them")
            facts = _fields(each, names, pattern)
            found.append((each, facts[LABEL], facts))
    if not found:
        form = f"named {names}" if by_name else "in a folder for each class"
        raise UsageError(f"{folder}: found no sample; allowed: files of {', '.join(endings)}, {form}")
    return found


def _of_class(folder: Path, endings: Sequence[str]) -> list[Path]:
    files = _entries(folder)
    allowed = f"files of {', '.join(endings)}"
    for file in files:
        if file.suffix.lower() not in endings or file.is_dir():
            raise UsageError(f"{file}: found {'a folder' if file.is_dir() else 'another file'}; allowed: {allowed}")
    if not files:
        raise UsageError(f"{folder}: found no file in this class; allowed: one or more, {allowed}")
    return files


def _entries(folder: Path) -> list[Path]:
    """What is in a folder, sorted by name, without hidden files."""
    try:
        return sorted(folder / name for name in os.listdir(folder) if not name.startswith("."))
    except OSError as error:
        raise UsageError(f"{folder}: cannot be read: {error.strerror}") from None


def _pattern(names: str) -> re.Pattern[str]:
    texts, fields = _FIELD.split(names)[::2], _FIELD.findall(names)
    problem = None
    if not fields or len(set(fields)) < len(fields) or any("{" in text or "}" in text for text in texts):
        problem = "fields in braces, each once"
    elif FILE in fields or any(not field.isidentifier() for field in fields):
        problem = f"fields whose names are words, not {FILE!r}, which is the path"
    elif not all(texts[1:-1]):
        problem = "some text between two fields, or nobody knows where the first one ends"
    if problem:
        raise UsageError(f"datasets.task.names: found {names!r}; allowed: {problem}, as in '{{label}}_{{speaker}}'")
    ends = "".join(re.escape(text[0]) for text in texts[1:] if text)
    value = f"[^{ends}]+" if ends else ".+"
    parts = [f"(?P<{field}>{value}){re.escape(text)}" for field, text in zip(fields, texts[1:], strict=True)]
    return re.compile(re.escape(texts[0]) + "".join(parts), re.DOTALL)


def _fields(file: Path, names: str | None, pattern: re.Pattern[str] | None) -> dict[str, str]:
    if pattern is None:
        return {}
    match = pattern.fullmatch(file.stem)
    if match is None:
        raise UsageError(f"{file}: the name does not fit the pattern {names!r} of datasets.task.names")
    return match.groupdict()


def _files(folder: Path, samples: list[_Sample], numbers: Mapping[str, int]) -> Files:
    for path, label, _ in samples:
        if label not in numbers:
            raise UsageError(f"{path}: its class {label!r} is not in the training part; there are: {_some(numbers)}")
    about = {name: np.array([facts[name] for _, _, facts in samples]) for name in samples[0][2]}
    about[FILE] = np.array([path.relative_to(folder).as_posix() for path, _, _ in samples])
    return Files(
        [path for path, _, _ in samples], np.array([numbers[label] for _, label, _ in samples], np.int64), about
    )


def _some(names: Mapping[str, int]) -> str:
    shown = list(names)[:20]
    return ", ".join(shown) + (f" and {len(names) - len(shown)} more" if len(names) > len(shown) else "")
