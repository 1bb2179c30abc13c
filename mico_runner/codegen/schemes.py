"""The schemes of the tiled kernels (kernels/mico_tile.h): which bits each can hold, how weights lie in its words, how long it takes.

Weights are stored as codes u >= 0, w = scale * u - offset, as many bits as before; within each word the codes are in the order that
a shift and a mask bring into the lanes of the scheme.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mico_runner import yaml_source
from mico_runner.codegen.packing import WORD, row_words
from mico_runner.quant.qgraph import QType

POSITIONS, EIGHT = 4, 8  # MICO_WIDE, MICO_MOST
TABLES, SIDES, CHANNELS = 16, 16, 64  # of mico_tables.c
CHUNK = 8  # of mico_bytes.c
PAIR, OUTPUTS = 2, 4  # output channels of a wide tile and of a narrow one, MICO_NARROW
CODES = 4  # in a word, as bytes
NIBBLE = 4  # bits, in which mico_lanes.c has weights of 3
NIBBLE_TAPS = 608  # whose products with 4 bits fit a lane of 16
ODD = (5, 6, 7)  # bits of weights of mico_odd_lanes.c
_CYCLES = Path(__file__).parent / "kernels" / "tile_cycles.yaml"
_UNITS = {"lanes8": "mico_lanes", "lanes16": "mico_lanes", "tables": "mico_tables", "bytes": "mico_bytes"}
_LANES = {"lanes8": 4, "lanes16": 2, "tables": 2, "bytes": 2}
_SCHEMES = {  # bits of weights -> (scheme, most bits of activations); single bits have one more
    1: (("tables_2x1", 2), ("lanes8_2x1", 2), ("lanes8_4x1", 4), ("lanes16_8x1", 8), ("tables_8x1", 8)),
    2: (("lanes8_2x2", 2), ("lanes8_4x2", 4), ("lanes16_8x2", 8), ("tables_8x2", 8)),
    3: (("lanes8_2x3", 2), ("lanes16_4x3", 4), ("bytes_8x3", 8)),
    4: (("lanes8_2x4", 2), ("lanes16_4x4", 4), ("bytes_8x4", 8), ("lanes16_8x4", 8)),
    5: (("lanes16_4x5", 4), ("bytes_4x5", 4), ("bytes_8x5", 8)),
    6: (("lanes16_4x6", 4), ("bytes_4x6", 4), ("bytes_8x6", 8)),
    7: (("lanes16_4x7", 4), ("bytes_4x7", 4), ("bytes_8x7", 8)),
    8: (("bytes_4x8", 4), ("lanes16_4x8", 4), ("bytes_8x8", 8)),
}


class Parts(NamedTuple):
    """Cycles of a layer: once; to prepare patches, alone, by their length, and what gathering adds; of sums, and of their steps."""

    call: float
    patches: float
    packing: float
    gathering: float
    sums: float
    steps: float


@dataclass(frozen=True)
class Scheme:
    """One `mico_scheme` in C, whose kernel is `mico_conv2d_<name>`.

    Attributes:
        name, unit: its name and the file that defines it.
        lanes: codes in a word of a patch: 2 or 4 lanes, or 32 bits.
        offset: of the weights' codes (`ow`); their scale is 2 with one bit, else 1.
        half: signed one-bit activations are 0 and 1 instead of 0 and 2.
        positions: of the wide tile.
    """

    name: str
    unit: str
    bits: int
    lanes: int
    offset: int
    half: bool = False
    positions: int = POSITIONS

    def tile(self, positions: int) -> int:
        """Positions at a time: a layer of fewer than the wide tile has takes one after the other."""
        return self.positions if positions >= self.positions else 1

    def counts(self, taps: int, outputs: int, positions: int) -> tuple[int, int, int, int]:
        """Positions of a tile, tiles, fours of taps, and outputs in whole tiles, of which the last overlaps the one before."""
        tile = self.tile(positions)
        together = 1 if self.unit == "mico_tables" else OUTPUTS if tile == 1 else PAIR
        quads = -(-taps // CODES) if self.lanes < WORD else -(-taps // WORD) * (WORD // CODES)
        return tile, -(-positions // tile), quads, -(-outputs // together) * together

    def cycles(self, taps: int, outputs: int, positions: int, whole: bool = False) -> float:
        """Estimate for a layer without groups: kernels/tile_cycles.yaml.

        Args:
            whole: patches lie in the input in one piece of whole words, and need no gathering.
        """
        return sum(self.parts(taps, outputs, positions, whole))

    def parts(self, taps: int, outputs: int, positions: int, whole: bool = False) -> Parts:
        """Of that estimate."""
        tile, tiles, quads, outputs = self.counts(taps, outputs, positions)
        table = _cycles()["narrow" if tile == 1 else "wide"]
        call, pack, gather, output, step, block = table["bits" if self.name == "signs" else self.name]
        return Parts(
            call=call,
            patches=tiles * tile * table["patch"],
            packing=tiles * tile * quads * pack,
            gathering=0 if whole else tiles * tile * quads * gather,
            sums=tiles * outputs * (output + block * self.blocks(quads)),
            steps=tiles * outputs * quads * step,
        )

    def blocks(self, quads: int) -> int:
        """Blocks of tables for so many fours of taps."""
        return -(-quads * self.bits // TABLES) if self.unit == "mico_tables" else 0

    def scratch_words(self, taps: int, outputs: int, positions: int) -> int:
        """Words of scratch: the patches of a tile, as bytes or packed behind one as bytes; tables and sums, or unpacked weights."""
        tile = self.tile(positions)
        codes = -(-taps // CODES)
        if self.unit == "mico_tables":
            pairs = 2 if tile > 1 else 1
            return codes * min(tile, POSITIONS) + TABLES * SIDES * pairs + min(outputs, CHANNELS) * tile
        if self.lanes == WORD:
            return max(codes + tile * row_words(taps, self.bits), codes * tile)
        unpacked = CHUNK * (2 if tile > 1 else OUTPUTS) if self.unit == "mico_bytes" and self.bits < 8 else 0
        halves = 2 * codes if tile == 1 and self.lanes == 2 and self.unit != "mico_bytes" else 0
        return codes * tile + halves + unpacked

    @property
    def scale(self) -> int:
        return 2 if self.bits == 1 and self.offset else 1

    def places(self, taps: int) -> np.ndarray:
        """(taps, bits) the place in its row of each bit of each code, counted from the first word's lowest."""
        if self.unit == "mico_bytes":
            return _streams(taps, self.bits)
        if self.unit == "mico_odd_lanes":
            return _groups(taps, self.bits)
        size = NIBBLE if self.bits == 3 else self.bits
        place = np.empty(WORD // size, int)  # of a code within its word
        place[self._order] = np.arange(len(place)) * size
        word, tap = np.divmod(np.arange(taps), len(place))
        bit = np.arange(self.bits)
        if self.bits != 3:
            return (word * WORD + place[tap])[:, None] + bit
        group, word = np.divmod(word, 4)  # three words, whose nibbles' fourth bits are for the fourth
        at, top = (np.where(word < 3, own, fourth)[:, None] for own, fourth in ((word, 0), (0, 1)))
        return (3 * group[:, None] + at + top * bit) * WORD + place[tap][:, None] + np.where(top, NIBBLE - 1, bit)

    def mixed(self, words: np.ndarray) -> np.ndarray:
        """Weights (rows, words), whose bits are at their `places`, as they lie in memory, and the other way round.

        Where words of a group have bits to spare, a kernel shifts the group's words by as many, one after the other, and XORs them;
        the bits to spare are changed so that they are unchanged in the result, whatever else comes to lie there.
        """
        if self.unit == "mico_odd_lanes":
            lane = WORD // 2
            count, spare = _group_taps(self.bits) * self.bits // WORD, lane % self.bits
        elif self.unit == "mico_lanes" and self.bits == 3:
            lane, count, spare = NIBBLE, 3, 1
        else:
            return words
        tops = np.uint32(sum(((1 << spare) - 1) << at for at in range(lane - spare, WORD, lane)))
        whole = words.shape[1] // count * count
        groups = words[:, :whole].reshape(len(words), -1, count)
        shifts = np.arange(count - 1, -1, -1, dtype=np.uint32) * np.uint32(spare)
        others = np.bitwise_xor.reduce((groups & ~tops) >> shifts, axis=2)
        groups = groups ^ (others[:, :, None] << shifts & tops)
        return np.concatenate([groups.reshape(len(words), whole), words[:, whole:]], axis=1)

    def holds(self, taps: int) -> bool:
        """Whether it can hold a row, and its patches in two rows.

        Of 3 bits in nibbles, some rows have more words of nibbles, up to three, than words, and long ones overflow lanes of 16 bits;
        mico_odd_lanes.c has rows of whole groups.
        """
        if self.lanes == WORD:
            return taps > CODES
        if self.unit == "mico_odd_lanes":
            return taps % _group_taps(self.bits) == 0
        if self.bits != 3 or self.unit != "mico_lanes":
            return True
        rest = taps % WORD
        return row_words(rest, 3) >= min(3, -(-rest * NIBBLE // WORD)) and (self.lanes == 4 or taps <= NIBBLE_TAPS)

    @property
    def _order(self) -> np.ndarray:
        """(weights per word,) the tap, counted within the word, of each code from the lowest bits on."""
        count = WORD // (NIBBLE if self.bits == 3 else self.bits)
        if self.unit == "mico_lanes" and self.lanes == 2:  # patch word j holds taps low, low + 2
            step = np.arange(count // 2)
            low = 4 * (step // 2) + step % 2
            return np.concatenate([low + 2, low])
        if self.unit == "mico_lanes":  # four lanes: patch word j holds taps 4 j .. 4 j + 3
            lane, step = np.divmod(np.arange(count), count // 4)
            return 4 * step + 3 - lane
        return np.arange(count)


def schemes(weight_bits: int, activation: QType, padded: bool, tables: bool = True) -> list[Scheme]:
    """The schemes that can hold a layer's bits.

    Those of more activation bits are among them, so that fewer bits are no slower but for the estimate's error.

    Args:
        weight_bits: in memory.
        padded: whether the convolution has zero padding, which a signed bit (-1, +1) cannot stand for.
        tables: also those with tables in their scratch, besides patches of two rows at most.
    """
    found: list[Scheme] = []
    if weight_bits == 1 and activation.bits == 1 and not (activation.is_sign and padded):
        found.append(
            Scheme("signs" if activation.is_sign else "bits", "mico_bits", 1, WORD, 1, half=activation.is_sign)
        )
    bits = max(activation.bits, 2)  # -1 and +1 are the codes 0 and 2, and padding is 1
    for name, most in _SCHEMES.get(weight_bits, ()):
        if bits <= most:
            family = name.split("_")[0]
            positions = EIGHT if name == "tables_2x1" else POSITIONS
            unit = "mico_odd_lanes" if weight_bits in ODD and family == "lanes16" else _UNITS[family]
            offset = 1 << (weight_bits - 1)
            found.append(Scheme(name, unit, weight_bits, _LANES[family], offset, positions=positions))
    return [s for s in found if tables or s.unit != "mico_tables"]


def _streams(taps: int, bits: int) -> np.ndarray:
    """`Scheme.places` of mico_bytes.c: chunks of 32 taps in `bits` words, then the rest in as few as hold it.

    Byte l of each word holds the codes of taps 4 i + l: whole ones in its low bits; of the bits left at the top, as soon as they are
    enough, a further one. The last codes take what is left of the four streams, one after the other.
    """
    found = np.empty((-(-taps // CODES) * CODES, bits), int)
    for start in range(0, taps, WORD):
        count = min(taps - start, WORD)
        quads: list[list[int]] = []
        left: list[int] = []  # bits of a stream, as counted in a row
        for word in range(start * bits, (start * bits) + row_words(count, bits) * WORD, WORD):
            whole = 8 - 8 % bits
            quads += [[word + first + i for i in range(bits)] for first in range(0, whole, bits)]
            left += range(word + whole, word + 8)
            if len(left) >= bits:
                quads.append(left[:bits])
                left = left[bits:]
        for tap in range(count):
            if tap // CODES < len(quads):
                found[start + tap] = np.add(quads[tap // CODES], 8 * (tap % CODES))
            else:
                among = tap % CODES * bits + np.arange(bits)
                found[start + tap] = np.array(left)[among % len(left)] + 8 * (among // len(left))
    return found[:taps]


def _group_taps(bits: int) -> int:
    """Taps of as few words as hold whole codes in each lane of 16 bits."""
    return 2 * math.lcm(bits, WORD // 2) // bits


def _groups(taps: int, bits: int) -> np.ndarray:
    """`Scheme.places` of mico_odd_lanes.c: per group the whole codes of each lane, word by word, then those of what is left at the tops."""
    lane, group = WORD // 2, _group_taps(bits)
    words = np.arange(group * bits // WORD)[:, None] * WORD
    whole = lane // bits * bits
    steps = np.concatenate([(words + np.arange(whole)).ravel(), (words + np.arange(whole, lane)).ravel()]).reshape(
        -1, bits
    )
    high, at = np.divmod(
        np.arange(group) % CODES, 2
    )  # a code word's taps: two steps, the first of each in the high lane
    found: np.ndarray = steps[np.arange(group) // CODES * 2 + at] + (1 - high)[:, None] * lane
    return (found + np.arange(taps // group)[:, None, None] * group * bits).reshape(taps, bits)


@cache
def _cycles() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml_source.read(_CYCLES).data
    return found
