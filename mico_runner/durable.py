"""Files that survive a power cut, and that tell when they are damaged.

What is written here is flushed before it is renamed into place or counted as written. A checked file or journal line holds a sha256 of its
content and of where it lies (its folder's name and its own), so that a bit that flipped, a file that was cut short and one that was taken
from elsewhere are all noticed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

SUM_KEY = "sha256"  # of a journal's line


class DamagedError(Exception):
    """The file is not what was written; the message says how, and names no path."""


def flush(path: Path) -> None:
    """fsync a file or folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove(path: Path) -> None:
    """Delete a file, a folder with all that it holds, or nothing. Raises OSError when that is not possible."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def replace(path: Path, content: bytes) -> None:
    """Write a file as a whole, over whatever is there, folders included."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        flush(temporary)
        if path.is_dir():
            remove(path)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    flush(path.parent)


def write_checked(path: Path, content: bytes) -> None:
    """Write a file as a whole, its sum in front; `read_checked` gives the content back."""
    replace(path, f"{_sum(path, content)}\n".encode() + content)


def read_checked(path: Path) -> bytes | None:
    """The content of a file of `write_checked`; None where there is nothing. Raises DamagedError."""
    if not os.path.lexists(path):
        return None
    head, _, content = _read(path).partition(b"\n")
    if head.decode(errors="replace") != _sum(path, content):
        raise DamagedError("it does not match its sum")
    return content


def append_lines(path: Path, records: Iterable[dict[str, object]]) -> None:
    """Append JSON-able records to a journal, a line each, on disk when this returns."""
    with path.open("a", encoding="utf-8") as file:
        file.writelines(_line(path, record) for record in records)
        file.flush()
        os.fsync(file.fileno())


def read_lines(path: Path) -> tuple[list[dict[str, object]], str]:
    """The records of a journal, and in words what was dropped, "" for nothing.

    What is not whole is dropped from the file, too, so that one may append to it; what cannot be read at all is deleted. A last line that
    a crash cut short is expected, and not mentioned.
    """
    if not os.path.lexists(path):
        return [], ""
    try:
        text = _read(path).decode(errors="replace")
    except DamagedError as damage:
        remove(path)
        return [], str(damage)
    whole, _, rest = text.rpartition("\n")
    lines = whole.split("\n") if whole else []
    if rest and not rest.startswith("{"):
        lines.append(rest)
    records = [record for record in (_parse(path, line) for line in lines) if record is not None]
    if rest or len(records) < len(lines):
        replace(path, "".join(_line(path, record) for record in records).encode())
    bad = len(lines) - len(records)
    return records, f"{bad} of {len(lines)} lines do not match their sum" if bad else ""


def contents(folder: Path) -> dict[str, str]:
    """What lies below a folder, by its relative path: the sha256 of a file, "folder", or "other"; links count as what they lead to."""
    found = {}
    for path in sorted(folder.rglob("*")):
        kind = sha256(path) if path.is_file() else "folder" if path.is_dir() else "other"
        found[path.relative_to(folder).as_posix()] = kind
    return found


def damage(folder: Path, wanted: dict[str, str]) -> str:
    """The first difference between a folder and what `contents` once said of it, in words; "" when there is none."""
    try:
        if not folder.is_dir():
            return f"{folder.name} is missing"
        found = contents(folder)
    except OSError as error:
        return f"{Path(error.filename or folder).name} cannot be read: {error.strerror}"
    for name in sorted(found.keys() | wanted.keys()):
        if name not in found:
            return f"{name} is missing"
        if name not in wanted:
            return f"{name} does not belong there"
        if found[name] != wanted[name]:
            return f"{name} is not what was written"
    return ""


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise DamagedError("it is no file")
    try:
        return path.read_bytes()
    except OSError as error:
        raise DamagedError(f"it cannot be read: {error.strerror}") from None


def _sum(path: Path, content: bytes) -> str:
    return hashlib.sha256(f"{path.parent.name}/{path.name}\n".encode() + content).hexdigest()


def _line(path: Path, record: dict[str, object]) -> str:
    text = json.dumps(record)
    return json.dumps({**record, SUM_KEY: _sum(path, text.encode())}) + "\n"


def _parse(path: Path, line: str) -> dict[str, object] | None:
    try:
        record = json.loads(line)
        found = record.pop(SUM_KEY)
        return record if found == _sum(path, json.dumps(record).encode()) else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
