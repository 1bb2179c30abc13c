"""Weights of one or two bits: sums of activations are looked up instead of multiplied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mico_runner.codegen.micro.base import EIGHT, OUTPUTS, POSITIONS, VALUES, MicroKernel
from mico_runner.codegen.micro.code import Code

TABLES, SIDES, CHANNELS = 16, 16, 64  # of a block, entries of a table, output channels whose sums exist at a time
_BLOCK = "const mico_conv2d_tiled_t *p, const uint32_t *column, const uint32_t *terms, uint8_t *to, uint32_t *tables"
_ROW = "const uint32_t *tables, const uint32_t *row"


@dataclass(frozen=True)
class Tables(MicroKernel):
    """Sums of activations that are looked up instead of multiplied.

    Four bits of weights, of four taps or of two, choose among the 16 values that these taps can add to the result. All 16 are
    computed once per column and are read by every output channel; a word holds those of two or four positions, in lanes that they do
    not overflow. A *block* of taps is as many as two words of weights have: 16 tables, which leave room in a data cache of 4 KiB.
    """

    FAMILY = "tables"
    TABLES = True
    LAYOUT = "MICO_TAPS"
    BLOCK = "_channels"

    @property
    def positions(self) -> int:
        """Eight, of values below 4."""
        return EIGHT if self.act_bits == 2 else POSITIONS

    @property
    def taps(self) -> int:
        """The taps of a table."""
        return 4 // self.bits

    def holds(self, taps: int) -> bool:
        """The sums of a row of one tap are that tap."""
        return taps > 1

    def block_outputs(self, tile: int) -> int:
        return 1

    def blocks(self, quads: int) -> int:
        return -(-quads * self.bits // TABLES)

    def scratch_words(self, taps: int, outputs: int, positions: int) -> int:
        tile = self.tile(positions)
        tables = TABLES * SIDES * (2 if tile > 1 else 1)
        return -(-taps // VALUES) * min(tile, POSITIONS) + tables + min(outputs, CHANNELS) * tile

    def places(self, taps: int) -> np.ndarray:
        return np.arange(taps * self.bits).reshape(taps, self.bits)

    def emit(self, c: Code, narrow: bool) -> None:
        positions = 1 if narrow else self.positions
        words = 1 if narrow else 2  # of a table's entry
        kind = "const uint8_t" if narrow else "const uint32_t"
        with c.function(f"MICO_INLINE void build(uint32_t *tables, {kind} *x, int32_t count)"):
            self._build(c, positions, words)
        with c.function(f"MICO_INLINE void look_up({_ROW}, int32_t count, uint32_t *s)"):
            self._look_up(c, words)
        more = "int32_t row_words, int32_t channels, int32_t count, const uint32_t *from, int32_t step, uint32_t *d"
        with c.function(f"MICO_INLINE void sums_of({_ROW}, {more})"):
            self._sums(c, positions)
        with c.function(f"MICO_INLINE void block({_BLOCK})"):
            self._block(c, positions, words, f"({kind} *)column" if narrow else "column")

    def wide(self, c: Code) -> None:
        """All is in `emit`."""

    narrow = wide

    def _build(self, c: Code, positions: int, words: int) -> None:
        """Tables of `count` groups of taps."""
        step = 2 if positions == EIGHT else self.taps
        with c.block(f"for (int32_t g = 0; g < count; g++, tables += {SIDES * words}, x += {step})"):
            for word in range(words):
                with c.block("", f"word {word} of each entry" if words > 1 else ""):
                    for i, name in enumerate("abcd"[: self.taps]):
                        c(f"{'uint32_t' if name == 'd' else 'const uint32_t'} {name} = {_tap(i, word, positions)};")
                    entries = [f"tables[{i * words + word}]" for i in range(SIDES)]
                    (_sums_of_four if self.bits == 1 else _multiples_of_two)(c, entries)
        why = "weights beyond the taps are 0; a step may look there"
        with c.block(f"for (int32_t g = count; g & 3; g++, tables += {SIDES * words})", why):
            c("tables[0] = 0;" if words == 1 else "tables[0] = tables[1] = 0;", "MICO_ORDER(g);")

    def _look_up(self, c: Code, words: int) -> None:
        """One row of weights chooses these of the tables of `count` groups: words s[0] and s[1]; their sum where an entry is one word."""
        up = 2 + (words > 1)  # log2 of the bytes of an entry
        each = 4 // words  # groups at a time
        c(f"const uint32_t mask = {15 << up};", why="four bits of weights, times the bytes of an entry")
        c("uint32_t s0 = 0, s1 = 0, word = *row;", "MICO_ORDER(word);")

        def eight(next_word: str) -> None:
            c.ordered(f"uint32_t next = {next_word}")
            for j in range(0, 8, each):
                _pick(c, j, up, words)
            c("word = next;", f"tables += {8 * SIDES * words};")

        with c.block(f"if (count == {TABLES})"):
            eight("row[1]")
            for j in range(0, 8, each):
                _pick(c, j, up, words)
        with c.block("else"):
            with c.block("if (count >= 8)"):
                eight("row[count > 8]")
                c("count -= 8;")
            with c.block("while (count > 0)"):
                _pick(c, 0, up, words)
                c(f"count -= {each};", f"word >>= {4 * each};", f"tables += {4 * SIDES};", "MICO_ORDER(word);")
        c("s[0] = s0;", "s[1] = s1;")

    def _sums(self, c: Code, positions: int) -> None:
        """d[channel][position] = from[..] + sw * (what rows choose); from stays or advances by `step` words."""
        twice = int(self.bits == 1)
        with c.block(f"for (; channels > 0; channels--, row += row_words, from += step, d += {positions})"):
            c("uint32_t s[2];", "look_up(tables, row, count, s);")
            if positions == 1:
                c(f"d[0] = from[0] + ((s[0] + s[1]) << {twice});")
            for i in range(2 if positions > 1 else 0):
                with c.block("", f"word {i}"):
                    (self._two_lanes if positions == POSITIONS else self._four_lanes)(c, i, twice)

    def _two_lanes(self, c: Code, i: int, twice: int) -> None:
        c.ordered(f"uint32_t a = from[{i}]", f"uint32_t b = from[{i + 2}]")
        c.ordered(f"uint32_t low = s[{i}] << 16", f"uint32_t high = s[{i}] >> 16")
        c(f"d[{i}] = a + (low >> {16 - twice});", f"d[{i + 2}] = b + (high << {twice});")

    def _four_lanes(self, c: Code, i: int, twice: int) -> None:
        for k, name in enumerate("abce"):
            c.ordered(f"uint32_t {name} = from[{4 * i + k}]")
        for k, down in ((1, 8 - twice), (2, 16 - twice), (3, 24)):
            c.ordered(f"uint32_t l{k} = s[{i}] >> {down}")
        c(f"d[{4 * i}] = a + ((s[{i}] & 0xffu) << {twice});", f"d[{4 * i + 1}] = b + (l1 & 0xffu << {twice});")
        c(f"d[{4 * i + 2}] = c + (l2 & 0xffu << {twice});", f"d[{4 * i + 3}] = e + (l3 << {twice});")

    def _block(self, c: Code, positions: int, words: int, column: str) -> None:
        """All output channels of one tile, whose columns lie ready."""
        step = 2 if positions == EIGHT else self.taps
        each = OUTPUTS if positions == 1 else 2
        c(f"const int32_t row_words = p->weights.row_words, groups = p->value_words * {self.bits};")
        c(f"uint32_t *sums = tables + {words * SIDES * TABLES};")
        c("int32_t built = -1;", why="the first group of the tables")
        with c.block(f"for (int32_t o = 0; o < p->size.out_c; o += {CHANNELS})"):
            c("const int32_t first = o + MICO_NARROW > p->size.out_c ? p->size.out_c - MICO_NARROW : o;")
            c(f"const int32_t channels = first + {CHANNELS} > p->size.out_c ? p->size.out_c - first : {CHANNELS};")
            with c.block(f"for (int32_t g = 0; g < groups; g += {TABLES})"):
                c(f"const int32_t count = groups - g < {TABLES} ? groups - g : {TABLES};")
                with c.block("if (built != g)"):
                    c(f"build(tables, {column} + {step} * g, count);", "built = g;")
                c("sums_of(tables, p->weights.words + first * row_words + g / 8, row_words, channels, count,")
                c(f"        g == 0 ? terms : sums, g == 0 ? 0 : {positions}, sums);")
            with c.block(f"for (int32_t c = 0; c < channels; c += {each})"):
                c(f"const int32_t at = c + {each} > channels ? channels - {each} : c;")
                if positions == 1:
                    c("mico_store_row(p, first + at, sums + at, to);")
                    return
                c(f"const uint32_t *d = sums + {positions} * at;", "uint8_t *y = to;")
                for i in range(0, positions, POSITIONS):
                    c(f"mico_store_pair(p, first + at, d + {i}, {positions}, y);")
                    c("y += MICO_WIDE * p->size.out_c * (p->output.type == MICO_S32 ? 4 : 1);", "MICO_ORDER(y);")


def _tap(i: int, word: int, positions: int) -> str:
    """The values of tap i at the positions: of 4 positions 0 and 2, then 1 and 3; of 8 positions 0 .. 3, then 4 .. 7."""
    if positions == 1:
        return f"x[{i}]"
    if positions == POSITIONS:
        return f"x[{i}] >> {8 * word} & MICO_EVEN"
    return f"x[{word}] >> {2 * i} & 0x03030303u"


def _sums_of_four(c: Code, to: Sequence[str]) -> None:
    """The sums of a, b, c, d, one bit each."""
    low = list(enumerate(("a", "b", "ab"), 1))
    c(f"{to[0]} = 0;", f"{to[1]} = a;", f"{to[2]} = b;")
    c("const uint32_t ab = a + b;", f"{to[4]} = c;", f"{to[3]} = ab;")
    c(*(f"{to[4 + i]} = c + {name};" for i, name in low), f"{to[8]} = d;")
    c(*(f"{to[8 + i]} = d + {name};" for i, name in low), "d += c;", f"{to[12]} = d;")
    c(*(f"{to[12 + i]} = d + {name};" for i, name in low))


def _multiples_of_two(c: Code, to: Sequence[str]) -> None:
    """a * (0 .. 3) + b * (0 .. 3)."""
    c("const uint32_t twice = a + a, thrice = twice + a;", "uint32_t high = 0;")
    for j in range(4):
        c(f"{to[4 * j]} = high;")
        c(*(f"{to[4 * j + i]} = high + {name};" for i, name in enumerate(("a", "twice", "thrice"), 1)), "high += b;")


def _pick(c: Code, j: int, up: int, words: int) -> None:
    """Groups of `word` choose these from group j on: two, of entries of two words, or four, of one. Nothing waits for a shift or a load."""
    names = "ik" if words == 2 else "iklm"
    with c.block("", f"groups {j} {'and' if words == 2 else 'to'} {j + len(names) - 1}"):
        for i, name in enumerate(names):
            c.shifted(name, "word", 4 * (j + i) - up)
        c.ordered("# = # & mask", over=names)
        c("const uint32_t *of_# = (const uint32_t *)(const void *)((const uint8_t *)tables + #);", over=names)
        for i, name in enumerate(names):
            for word in range(words):
                c.ordered(f"uint32_t {name}{word} = of_{name}[{words * SIDES * (j + i) + word}]")
        for i, name in enumerate(names):
            for word in range(words):
                c.ordered(f"s{word if words == 2 else i % 2} += {name}{word}")


@dataclass(frozen=True)
class PackedTables(Tables):
    """Sums of activations that are looked up instead of multiplied; a byte has four taps of two bits, so that eight positions fit."""

    LAYOUT = "MICO_ROW"
    PACK = "mico_pack_quads"
    HEADER = "mico_quads.h"
