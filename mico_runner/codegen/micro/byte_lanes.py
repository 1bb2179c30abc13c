"""Weights as bytes."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mico_runner.codegen.micro.base import OUTPUTS, PAIR, VALUES, MicroKernel
from mico_runner.codegen.micro.code import FOUR, Code
from mico_runner.codegen.micro.lanes import ROWS
from mico_runner.codegen.packing import WORD, row_words

CHUNK = 8  # words of four values that are unpacked at a time
_UNPACKING = (
    "MICO_INLINE uint32_t last_values(uint32_t left, int32_t have)",
    "MICO_INLINE void unpack_chunk(const uint32_t *row, const uint32_t *other, uint32_t *to)",
    "MICO_INLINE void unpack_rest(const uint32_t *row, int32_t words, int32_t quads, uint32_t *to)",
)
_UNPACK = "MICO_INLINE void unpack(const uint32_t *rows, int32_t apart, int32_t words, int32_t quads, uint32_t *values)"
_QUADS = f"const int32_t quads = value_words < {CHUNK} ? value_words : {CHUNK};"


@dataclass(frozen=True)
class ByteLanes(MicroKernel):
    """Weights as bytes: a multiplication for two products.

    Of the word of a tap, its values at four positions, a mask leaves those at two, x0 + x1 << 16. Times a value u it is
    x0 * u + x1 * u << 16: two products that do not meet, as each is below 2^16. The sum of such words, and the sum of their high halves,
    give both sums. As many words as fit before a low half overflows, a `group`, are added before they are split so: of 8 x 8 bits one.

    Weights of fewer than 8 bits become bytes 32 at a time (a *chunk*: as many words as they have bits), four in parallel: byte l of
    each word is a stream of values of the taps 4 i + l. The low bits of a byte are whole values, the bits that are left at its top
    follow each other.
    """

    FAMILY = "bytes"
    LAYOUT = "MICO_TAPS"

    @property
    def group(self) -> int:
        """Taps whose products are added before they are split, a power of two; eight take more time than four."""
        most = ((1 << 16) - 1) // (((1 << self.act_bits) - 1) * ((1 << self.bits) - 1))
        found = 1 << most.bit_length() - 1
        return 4 if found == 8 else found

    @property
    def whole(self) -> int:
        """Values in a byte."""
        return 8 // self.bits

    def spare_words(self, taps: int, outputs: int, tile: int) -> int:
        """Unpacked weights."""
        return CHUNK * (PAIR if tile > 1 else OUTPUTS) * (self.bits < 8)

    def places(self, taps: int) -> np.ndarray:
        """Chunks of 32 taps in `bits` words, then the rest in as few as hold it.

        Byte l of each word holds the values of taps 4 i + l: whole ones in its low bits; of the bits left at the top, as soon as they
        are enough, a further one. The last values take what is left of the four streams, one after the other.
        """
        bits, found = self.bits, np.empty((-(-taps // VALUES) * VALUES, self.bits), int)
        for start in range(0, taps, WORD):
            count = min(taps - start, WORD)
            quads: list[list[int]] = []
            left: list[int] = []  # bits of a stream, as counted in a row
            for word in range(start * bits, (start * bits) + row_words(count, bits) * WORD, WORD):
                quads += [[word + first + i for i in range(bits)] for first in range(0, self.whole * bits, bits)]
                left += range(word + self.whole * bits, word + 8)
                if len(left) >= bits:
                    quads.append(left[:bits])
                    left = left[bits:]
            for tap in range(count):
                if tap // VALUES < len(quads):
                    found[start + tap] = np.add(quads[tap // VALUES], 8 * (tap % VALUES))
                else:
                    among = tap % VALUES * bits + np.arange(bits)
                    found[start + tap] = np.array(left)[among % len(left)] + 8 * (among // len(left))
        return found[:taps]

    def emit(self, c: Code, narrow: bool) -> None:
        if self.bits < 8:
            for head, body in zip(_UNPACKING, (self._last_values, self._unpack_chunk, self._unpack_rest), strict=True):
                with c.function(head):
                    body(c)
            with c.function(_UNPACK):
                with c.block(f"if (quads == {CHUNK})"):
                    c("unpack_chunk(rows, rows + apart, values);", "return;")
                with c.block("for (int32_t second = 0; second < 2; second++)"):
                    c("MICO_ORDER(second);", why="stays a loop")
                    c(f"unpack_rest(rows + second * apart, words, quads, values + second * {CHUNK});")
        super().emit(c, narrow)

    def wide(self, c: Code) -> None:
        group, unpacked = self.group, self.bits < 8
        self._unused(c)
        c("const int32_t apart = row_words;", "const uint32_t *x = column;")
        c("uint32_t positions = MICO_EVEN;", why="0 and 2; a byte higher 1 and 3")
        c("", why="Sums of high halves, ah0 .., and of words, whose low halves begin with the terms.")
        c("uint32_t ah0 = terms[2], ah1 = terms[3], bh0 = ah0, bh1 = ah1;")
        c("uint32_t a0 = terms[0] + (ah0 << 16), a1 = terms[1] + (ah1 << 16), b0 = a0, b1 = a1;")
        c("MICO_ORDER(positions);")
        with self._chunks(c):
            rows = "*a = (const uint8_t *)rows, *b = (const uint8_t *)(rows + apart), *end = a + 4 * value_words"
            c(f"const uint8_t {rows};")
            if unpacked:
                c(_QUADS, "unpack(rows, apart, row_words, quads, spare);")
                self._advance(c, "ab")
            if group <= 4:
                with c.block("do", tail="while (a != end);"):
                    c("uint32_t g0, g1, g2, g3;", why="sums of a group")
                    self._four_taps(c)
            else:
                several = group < 4 * CHUNK or not unpacked  # groups of a row or chunk
                with c.block("do" if several else "", tail="while (a != end);" if several else ""):
                    if several:
                        c(f"const uint8_t *const stop = end - a < {group} ? end : a + {group};")
                    c("uint32_t g0 = 0, g1 = 0, g2 = 0, g3 = 0;", why="sums of a group")
                    with c.block("do", tail=f"while (a != {'stop' if several else 'end'});"):
                        self._four_taps(c)
                    _split(c)
        for row, high in (("a", 0), ("b", 4)):
            for i in range(2):
                c(f"d[{high + i}] = {row}{i} - ({row}h{i} << 16);")
            for i in range(2):
                c(f"d[{high + 2 + i}] = {row}h{i};")

    def narrow(self, c: Code) -> None:
        self._unused(c)
        c("const uint8_t *x = (const uint8_t *)column;", "const int32_t apart = row_words;")
        c("uint32_t d0 = terms[0], d1 = d0, d2 = d0, d3 = d0;")
        with self._chunks(c):
            c("const uint8_t *a = (const uint8_t *)rows, *b = a + 4 * apart, *c = b + 4 * apart, *e = c + 4 * apart;")
            c("const uint8_t *end = a + 4 * value_words;")
            if self.bits < 8:
                c(_QUADS)
                with c.block("for (int32_t pair = 0; pair < 4; pair += 2)"):
                    c("MICO_ORDER(pair);", why="stays a loop")
                    c(f"unpack(rows + pair * apart, apart, row_words, quads, spare + pair * {CHUNK});")
                self._advance(c, ROWS)
            taps = c.block("for (; a != end; a += 4, b += 4, c += 4, e += 4, x += 4)")
            with taps, c.block("for (int i = 0; i < 4; i++)"):
                c("uint32_t x0 = x[i], p0 = a[i], p1 = b[i], p2 = c[i], p3 = e[i];")
                c("MICO_ORDER(#);", over=("p0", "x0", "p1", "p2", "p3"))
                c.ordered("p# *= x0", "d# += p#", over=FOUR)
        c("d[#] = d#;", over=FOUR)

    def _unused(self, c: Code) -> None:
        if self.bits == 8:
            c("(void)spare;")

    def _chunks(self, c: Code) -> AbstractContextManager[None]:
        return c.block("do", tail="while (value_words > 0);") if self.bits < 8 else c.block()

    def _advance(self, c: Code, rows: str) -> None:
        """To the values that were unpacked, of each row."""
        c("a = (const uint8_t *)spare;")
        for before, row in pairwise(rows):
            c(f"{row} = {before} + {4 * CHUNK};")
        c("end = a + 4 * quads;", f"rows += {self.bits};", f"row_words -= {self.bits};", f"value_words -= {CHUNK};")

    def _four_taps(self, c: Code) -> None:
        for i in range(4):
            with c.block("", f"tap {i}"):
                c.ordered(
                    f"uint32_t x0 = x[{i}]", f"uint32_t u = a[{i}]", f"uint32_t v = b[{i}]", "uint32_t x1 = x0 >> 8"
                )
                c.ordered("x0 = x0 & positions")
                c.ordered("uint32_t p0 = x0 * u", why="positions 0 and 2 of channel a")
                c.ordered("x1 = x1 & positions")
                c.ordered("uint32_t q0 = x0 * v", why="of channel b")
                c.ordered("uint32_t p1 = x1 * u", why="positions 1 and 3 of channel a")
                c.ordered("uint32_t q1 = x1 * v")
                if self.group <= 4 and i % self.group == 0:
                    c("g0 = p0;", "g1 = p1;", "g2 = q0;", "g3 = q1;")
                else:
                    c.ordered("g0 += p0", "g2 += q0", "g1 += p1", "g3 += q1")
                if self.group <= 4 and (i + 1) % self.group == 0:
                    _split(c)
        c("# += 4;", over="abx")

    def _last_values(self, c: Code) -> None:
        """The last values of a row, 1 to 3, when the streams of the four bytes have no `bits` left each but `have`: one after the other."""
        mask = f"0x{(1 << self.bits) - 1:02x}u"
        c("const uint32_t ones = (1u << have) - 1u;", why="bits that each stream has left")
        c("const uint32_t low = (left & ones) | (left >> 8 & ones) << have;")
        c("const uint32_t all = low | ((left >> 16 & ones) | (left >> 24 & ones) << have) << 2 * have;")
        c(f"return (all & {mask}) | (all >> {self.bits} & {mask}) << 8 | (all >> {2 * self.bits} & {mask}) << 16;")

    def _unpack_chunk(self, c: Code) -> None:
        """A whole chunk of two rows; `to` has room for CHUNK words of each. Both at a time, so that nothing waits for a load or a shift."""
        bits, whole, spare = self.bits, self.whole, 8 % self.bits
        c(f"uint32_t mask = 0x{_bytes((1 << bits) - 1):08x}u;", why="a value in each byte")
        if spare:
            tops = 0xFFFFFFFF ^ _bytes((1 << bits * whole) - 1)
            c(f"uint32_t tops = 0x{tops:08x}u, left_a = 0, left_b = 0;", why="bits left at the tops")
        c("uint32_t a = row[0], b = other[0];")
        if spare:
            c("MICO_ORDER(tops);")
        c("MICO_ORDER(mask);", why="takes no register where sums need it")
        have = at = 0
        for i in range(bits):
            with c.block("", f"word {i}"):
                c("const uint32_t word = a, word_b = b;")
                if i + 1 < bits:
                    c.ordered(f"a = row[{i + 1}]", f"b = other[{i + 1}]")
                for j in range(whole):
                    with c.block():
                        c(f"uint32_t values = word >> {bits * j}, others = word_b >> {bits * j};")
                        if j:
                            c("MICO_ORDER(#);", over=("values", "others"))
                        c(f"to[{at}] = values & mask;", f"to[{at + CHUNK}] = others & mask;")
                    at += 1
                if not spare:
                    continue
                c("uint32_t top = word & tops, top_b = word_b & tops;")
                c("MICO_ORDER(#);", over=("top", "top_b"))
                c(f"left_a |= top >> {8 - spare - have};", f"left_b |= top_b >> {8 - spare - have};")
                have += spare
                if have >= bits:
                    have -= bits
                    c(f"to[{at}] = left_a & mask;", f"to[{at + CHUNK}] = left_b & mask;")
                    at += 1
                    c(f"left_# = {f'(left_# & ~mask) >> {bits}' if have else 0};", over="ab")

    def _unpack_rest(self, c: Code) -> None:
        """Less than a chunk: `words` of a row to `quads` words of four values."""
        bits, whole, spare = self.bits, self.whole, 8 % self.bits
        mask = f"0x{_bytes((1 << bits) - 1):08x}u"
        c(f"const uint32_t mask = {mask}, *const stop = row + words, *const end = to + quads;")
        c("uint32_t left = 0;", why="at most 7 bits of each byte")
        c("int32_t have = 0;")
        with c.block("while (row != stop)"):
            c("uint32_t word = *row++;")
            c("MICO_ORDER(word);", why="stays a loop")
            for j in range(whole):
                c(f"*to++ = word >> {bits * j} & mask;")
            c(f"left |= (word >> {bits * whole} & 0x{_bytes((1 << spare) - 1):08x}u) << have;", f"have += {spare};")
            with c.block(f"if (have >= {bits})"):
                c("*to++ = left & mask;", f"left = (left & ~mask) >> {bits};", f"have -= {bits};")
        with c.block("if (to < end)"):
            c("*to = last_values(left, have);")


def _split(c: Code) -> None:
    """The sums of a group are added to those of words, their high halves to those of high halves."""
    for i, total in enumerate(("a0", "a1", "b0", "b1")):
        c.ordered(f"{total} += g{i}", f"g{i} = g{i} >> 16")
    for i, total in enumerate(("ah0", "ah1", "bh0", "bh1")):
        c.ordered(f"{total} += g{i}")


def _bytes(value: int) -> int:
    """The value in each byte of a word."""
    return 0x01010101 * value
