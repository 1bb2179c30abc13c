"""Files that others made: regular ones only, no more bytes than stated, and every failure a UsageError that names the file."""

from __future__ import annotations

import gzip
import lzma
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from mico_runner.errors import UsageError
from mico_runner.yaml_schema import Problem, SchemaErrors
from mico_runner.yaml_source import Place

MAX_TEXT_BYTES = 64 << 20  # of a table or a mapping: a million rows of 64 bytes
CHUNK_BYTES = 1 << 20  # read at once, so that memory grows with what is there, not with what a header promises

_OTHER_TEXT = (
    (b"\xff\xfe\0\0", "UTF-32"),
    (b"\0\0\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
_COMPRESSED = ((b"\x1f\x8b", "gzip", gzip.open), (b"\xfd7zXZ\0", "xz", lzma.open))


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A regular file, for reading. Raises UsageError for anything else: a pipe, on which reading would wait, a device, a folder."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        what = "a folder" if stat.S_ISDIR(mode) else "a pipe, socket or device"
        raise UsageError(f"{path}: found {what}; allowed: a file")
    with os.fdopen(handle, "rb") as file:
        yield file


def read_text(path: Path, limit: int = MAX_TEXT_BYTES) -> str:
    """A text file in UTF-8, with or without byte-order mark; compressed (gzip, xz) or not.

    Raises:
        UsageError: no regular file, unreadable, or more than `limit` bytes.
        SchemaErrors: another encoding, or bytes that are no text; with line and column.
    """
    with inflated(path, limit) as file:
        return decoded(path, file.read())


def decoded(path: Path, raw: bytes) -> str:
    """See `read_text`."""
    for mark, name in _OTHER_TEXT:
        if raw.startswith(mark):
            raise SchemaErrors([Problem(Place(str(path), 1, 1), (), f"found {name} text; allowed: UTF-8")])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found = f"found the byte 0x{error.object[error.start]:02x}, which is not UTF-8; allowed: text in UTF-8"
        before = error.object[: error.start].decode("utf-8")
    else:
        if "\0" not in text:
            return text
        found, before = "found a NUL byte; allowed: text in UTF-8", text[: text.index("\0")]
    lines = lines_of(before)
    raise SchemaErrors([Problem(Place(str(path), len(lines), len(lines[-1]) + 1), (), found)])


def lines_of(text: str) -> list[str]:
    """Lines that end in LF, CR LF or CR; `str.splitlines` would also split at characters that belong to a line."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


class Inflated:
    """A stream of at most `limit` bytes; damage of the compressed file and an excess are UsageErrors."""

    def __init__(self, path: Path, form: str, file: BinaryIO, limit: int) -> None:
        self._path, self._form, self._file, self._limit, self._left = path, form, file, limit, limit

    def read(self, size: int = -1) -> bytes:
        """`size` bytes, or fewer at the end; all that is left when negative."""
        parts = []
        while size != 0:
            try:
                part = self._file.read(CHUNK_BYTES if size < 0 else min(size, CHUNK_BYTES))
            except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
                raise UsageError(f"{self._path}: not a complete {self._form} file ({error})") from None
            if not part:
                break
            self._left -= len(part)
            if self._left < 0:
                raise UsageError(
                    f"{self._path}: more than {self._limit:,} bytes of content; allowed: at most that many"
                )
            parts.append(part)
            size -= len(part) if size > 0 else 0
        return b"".join(parts)


@contextmanager
def inflated(path: Path, limit: int) -> Iterator[Inflated]:
    """The content of a file, decompressed (gzip, xz) as it is read; as it is when it is not compressed. Raises as `opened` does."""
    with opened(path) as file:
        start = file.read(8)
        file.seek(0)
        for magic, form, reader in _COMPRESSED:
            if start.startswith(magic):
                with reader(file) as stream:
                    yield Inflated(path, form, stream, limit)
                return
        yield Inflated(path, "readable", file, limit)
