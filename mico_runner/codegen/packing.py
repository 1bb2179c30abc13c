"""Weights in memory: n-bit patterns, little-endian in 32-bit words, each row padded to whole words (DESIGN: packing).

A code is the low n bits of the two's complement; with 1 bit, 0 stands for -1 and 1 for +1. Ternary weights take 2 bits.
"""

from __future__ import annotations

import numpy as np

WORD = 32


def row_words(taps: int, bits: int) -> int:
    """Words that a row of `taps` weights takes."""
    return -(-taps * bits // WORD)


def pack_rows(rows: np.ndarray, bits: int) -> np.ndarray:
    """Pack int weights (rows, taps) into uint32 (rows, row_words); patterns may straddle two words.

    >>> pack_rows(np.array([[-1, 1, -1]]), 1)
    array([[2]], dtype=uint32)
    >>> [hex(w) for w in pack_rows(np.array([[1, -1, 7]]), 4)[0]]
    ['0x7f1']
    """
    taps = rows.shape[1]
    patterns = (
        (rows > 0).astype(np.uint8) if bits == 1 else (rows.astype(np.int16) & ((1 << bits) - 1)).astype(np.uint8)
    )
    return place_bits(patterns, np.arange(taps * bits).reshape(taps, bits))


def place_bits(patterns: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Patterns >= 0 (rows, taps) as uint32 (rows, row_words): bit b of pattern t is bit `places[t, b]` of its row, from the lowest."""
    taps, bits = places.shape
    stream = np.zeros((len(patterns), row_words(taps, bits) * WORD), dtype=np.uint8)  # one entry per bit
    stream[:, places] = patterns[..., None] >> np.arange(bits) & 1
    octets = np.packbits(stream, axis=1, bitorder="little")
    return octets.view("<u4").astype(np.uint32)


def unpack_rows(words: np.ndarray, taps: int, bits: int) -> np.ndarray:
    """The int8 weights (rows, taps) that `pack_rows` packed."""
    octets = np.ascontiguousarray(words.astype("<u4")).view(np.uint8)
    stream = np.unpackbits(octets, axis=1, bitorder="little")[:, : taps * bits].reshape(len(words), taps, bits)
    patterns: np.ndarray = (stream.astype(np.int32) << np.arange(bits)).sum(axis=2)
    values = 2 * patterns - 1 if bits == 1 else np.where(patterns >= 1 << (bits - 1), patterns - (1 << bits), patterns)
    return values.astype(np.int8)
