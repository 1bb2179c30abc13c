"""Tokenizers of llama2.c: pieces of text with scores, merged by the highest score (byte-pair encoding with a fallback to bytes).

File, little endian: int32 length of the longest piece; for each token float32 score, int32 length, that many bytes. Token 0 is unknown,
1 begins a text (BOS), 2 ends one (EOS), 3 .. 258 are single bytes, written <0x00> .. <0xFF>.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from mico_runner.data.files import opened
from mico_runner.errors import UsageError

BOS, EOS, FIRST_BYTE, BYTES = 1, 2, 3, 256
MOST_BYTES = 64 << 20
_HEAD, _ENTRY = struct.Struct("<i"), struct.Struct("<fi")


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """Attributes:
    pieces: the bytes of each token.
    scores: float32, of each: the higher the sooner it is made of two.
    """

    pieces: tuple[bytes, ...]
    scores: np.ndarray

    @cached_property
    def _numbers(self) -> dict[bytes, int]:
        """Of two tokens of one text the first is found, but of single bytes' names none is text."""
        found: dict[bytes, int] = {}
        for number, piece in enumerate(self.pieces):
            found.setdefault(piece, number)
        return found

    def encode(self, text: str, bos: bool = True) -> list[int]:
        """Tokens of a text: a space is put in front; characters, or their bytes where unknown; then the best neighbours are merged."""
        found = (BOS,) if bos else ()
        for part in self._parts(f" {text}" if text else ""):
            found += self._merged(part)
        return list(found)

    def _parts(self, text: str) -> list[str]:
        """What can be merged apart from the rest: words with the space in front, unless a piece has a space elsewhere."""
        if any(b" " in piece[1:] for piece in self.pieces[FIRST_BYTE + BYTES :]):
            return [text]
        return re.findall(r" [^ ]*|^[^ ]+", text)

    @cache  # noqa: B019  # words come again and again, and a tokenizer lives as long as its data are read
    def _merged(self, text: str) -> tuple[int, ...]:
        tokens = list[int]()
        known = self._numbers
        for character in text:
            piece = character.encode()
            tokens += [known[piece]] if piece in known else [FIRST_BYTE + byte for byte in piece]
        while True:
            best, at, score = -1, -1, -1e10
            for i, (a, b) in enumerate(pairwise(tokens)):
                number = known.get(self.pieces[a] + self.pieces[b])
                if number is not None and self.scores[number] > score:
                    best, at, score = number, i, float(self.scores[number])
            if at < 0:
                return tuple(tokens)
            tokens[at : at + 2] = [best]

    def decode(self, tokens: list[int]) -> bytes:
        """Their text; after BOS a leading space is left out. BOS and EOS themselves print as nothing only in front."""
        parts, before = [], -1
        for token in tokens:
            piece = self.pieces[token]
            if before == BOS and piece.startswith(b" "):
                piece = piece[1:]
            if len(piece) == 6 and piece.startswith(b"<0x"):
                piece = bytes([int(piece[3:5], 16)])
            if token != BOS or before != -1:
                parts.append(piece)
            before = token
        return b"".join(parts)


def read(path: Path, vocabulary: int | None = None) -> Tokenizer:
    """The tokenizer in a file, which says nowhere how many tokens it has.

    Args:
        vocabulary: of the network that it is for, checked.

    Raises UsageError: cut short, a length that cannot be, or another number of tokens.
    """
    with opened(path) as file:
        raw = file.read(MOST_BYTES + 1)
    if not _HEAD.size < len(raw) <= MOST_BYTES:
        raise UsageError(
            f"{path}: found {len(raw):,} bytes; allowed: a tokenizer of llama2.c, up to {MOST_BYTES:,} bytes"
        )
    (longest,), at = _HEAD.unpack_from(raw), _HEAD.size
    pieces, scores = [], []
    while at < len(raw):
        where = f"{path}: token {len(pieces)}"
        if at + _ENTRY.size > len(raw):
            raise UsageError(f"{where}: found {len(raw) - at} bytes; allowed: a score, a length and the piece")
        score, length = _ENTRY.unpack_from(raw, at)
        at += _ENTRY.size
        if not 0 <= length <= min(longest, len(raw) - at):
            raise UsageError(f"{where}: found a length of {length}; allowed: 0 to {min(longest, len(raw) - at)}")
        if not np.isfinite(score):
            raise UsageError(f"{where}: found the score {score}; allowed: a finite number")
        pieces.append(raw[at : at + length])
        scores.append(score)
        at += length
    least = FIRST_BYTE + BYTES
    if len(pieces) < least or (vocabulary is not None and len(pieces) != vocabulary):
        raise UsageError(f"{path}: found {len(pieces)} tokens; allowed: {vocabulary or f'{least} or more'}")
    for byte in range(BYTES):
        if pieces[FIRST_BYTE + byte] != (name := f"<0x{byte:02X}>".encode()):
            raise UsageError(
                f"{path}: token {FIRST_BYTE + byte}: found {pieces[FIRST_BYTE + byte]!r}; allowed: {name!r}"
            )
    return Tokenizer(tuple(pieces), np.array(scores, np.float32))


def write(tokenizer: Tokenizer, path: Path) -> None:
    """Write a tokenizer as llama2.c reads it."""
    parts = [_HEAD.pack(max(map(len, tokenizer.pieces)))]
    for piece, score in zip(tokenizer.pieces, tokenizer.scores, strict=True):
        parts += [_ENTRY.pack(score, len(piece)), piece]
    path.write_bytes(b"".join(parts))
