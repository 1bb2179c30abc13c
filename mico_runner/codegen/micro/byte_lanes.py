"""Weights as bytes."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mico_runner.codegen.micro.base import CODES, OUTPUTS, PAIR, MicroKernel
from mico_runner.codegen.micro.code import Code
from mico_runner.codegen.packing import WORD, row_words

CHUNK = 8  # words of four codes that are unpacked at a time
_LAST, _CHUNK, _REST, _UNPACK = (
    "MICO_INLINE uint32_t last_codes(uint32_t left, int32_t have)",
    "MICO_INLINE void unpack_chunk(const uint32_t *row, const uint32_t *other, uint32_t *to)",
    "MICO_INLINE void unpack_rest(const uint32_t *row, int32_t words, int32_t quads, uint32_t *to)",
    "MICO_INLINE void unpack(const uint32_t *rows, int32_t apart, int32_t words, int32_t quads, uint32_t *codes)",
)


@dataclass(frozen=True)
class ByteLanes(MicroKernel):
    """Weights as bytes: a multiplication for two products.

    Of the word of a tap, its codes at four positions, a mask leaves those at two, x0 + x1 << 16. Times a code u it is
    x0 * u + x1 * u << 16: two products that do not meet, as each is below 2^16. The sum of such words, and the sum of their high halves,
    give both sums. As many words as fit before a low half overflows, a `group`, are added before they are split so: of 8 x 8 bits one.

    Weights of fewer than 8 bits become bytes 32 at a time (a *chunk*: as many words as they have bits), four in parallel: byte l of
    each word is a stream of codes of the taps 4 i + l. The low bits of a byte are whole codes, the bits that are left at its top
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
        """Codes in a byte."""
        return 8 // self.bits

    def spare_words(self, taps: int, outputs: int, tile: int) -> int:
        """Unpacked weights."""
        return CHUNK * (PAIR if tile > 1 else OUTPUTS) * (self.bits < 8)

    def places(self, taps: int) -> np.ndarray:
        """Chunks of 32 taps in `bits` words, then the rest in as few as hold it.

        Byte l of each word holds the codes of taps 4 i + l: whole ones in its low bits; of the bits left at the top, as soon as they
        are enough, a further one. The last codes take what is left of the four streams, one after the other.
        """
        bits, found = self.bits, np.empty((-(-taps // CODES) * CODES, self.bits), int)
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
                if tap // CODES < len(quads):
                    found[start + tap] = np.add(quads[tap // CODES], 8 * (tap % CODES))
                else:
                    among = tap % CODES * bits + np.arange(bits)
                    found[start + tap] = np.array(left)[among % len(left)] + 8 * (among // len(left))
        return found[:taps]

    def emit(self, c: Code, narrow: bool) -> None:
        if self.bits < 8:
            with c.function(_LAST):
                self._last_codes(c)
            with c.function(_CHUNK):
                self._unpack_chunk(c)
            with c.function(_REST):
                self._unpack_rest(c)
            with c.function(_UNPACK):
                with c.block(f"if (quads == {CHUNK})"):
                    c("unpack_chunk(rows, rows + apart, codes);")
                    c("return;")
                with c.block("for (int32_t second = 0; second < 2; second++)"):
                    c("MICO_ORDER(second);", "stays a loop")
                    c(f"unpack_rest(rows + second * apart, words, quads, codes + second * {CHUNK});")
        super().emit(c, narrow)

    def wide(self, c: Code) -> None:
        group, unpacked = self.group, self.bits < 8
        self._unused(c)
        c("const int32_t apart = row_words;")
        c("const uint32_t *x = patch;")
        c("uint32_t positions = MICO_EVEN;", "0 and 2; a byte higher 1 and 3")
        c.note("Sums of high halves, ah0 .., and of words, whose low halves begin with the terms.")
        c("uint32_t ah0 = terms[2], ah1 = terms[3], bh0 = ah0, bh1 = ah1;")
        c("uint32_t a0 = terms[0] + (ah0 << 16), a1 = terms[1] + (ah1 << 16), b0 = a0, b1 = a1;")
        c("MICO_ORDER(positions);")
        with self._chunks(c):
            c(
                "const uint8_t *a = (const uint8_t *)rows, *b = (const uint8_t *)(rows + apart), *end = a + 4 * code_words;"
            )
            if unpacked:
                c(f"const int32_t quads = code_words < {CHUNK} ? code_words : {CHUNK};")
                c("unpack(rows, apart, row_words, quads, spare);")
                self._advance(c, "ab")
            if group <= 4:
                with c.block("do", tail="while (a != end);"):
                    c("uint32_t g0, g1, g2, g3;", "sums of a group")
                    self._four_taps(c)
            else:
                several = group < 4 * CHUNK or not unpacked  # groups of a row or chunk
                with c.block("do" if several else "", tail="while (a != end);" if several else ""):
                    if several:
                        c(f"const uint8_t *const stop = end - a < {group} ? end : a + {group};")
                    c("uint32_t g0 = 0, g1 = 0, g2 = 0, g3 = 0;", "sums of a group")
                    with c.block("do", tail=f"while (a != {'stop' if several else 'end'});"):
                        self._four_taps(c)
                    _split(c)
        for row, high in (("a", 0), ("b", 4)):
            c(f"d[{high}] = {row}0 - ({row}h0 << 16);")
            c(f"d[{high + 1}] = {row}1 - ({row}h1 << 16);")
            c(f"d[{high + 2}] = {row}h0;")
            c(f"d[{high + 3}] = {row}h1;")

    def narrow(self, c: Code) -> None:
        self._unused(c)
        c("const uint8_t *x = (const uint8_t *)patch;")
        c("const int32_t apart = row_words;")
        c("uint32_t d0 = terms[0], d1 = d0, d2 = d0, d3 = d0;")
        with self._chunks(c):
            c("const uint8_t *a = (const uint8_t *)rows, *b = a + 4 * apart, *c = b + 4 * apart, *e = c + 4 * apart;")
            c("const uint8_t *end = a + 4 * code_words;")
            if self.bits < 8:
                c(f"const int32_t quads = code_words < {CHUNK} ? code_words : {CHUNK};")
                with c.block("for (int32_t pair = 0; pair < 4; pair += 2)"):
                    c("MICO_ORDER(pair);", "stays a loop")
                    c(f"unpack(rows + pair * apart, apart, row_words, quads, spare + pair * {CHUNK});")
                self._advance(c, "abce")
            with (
                c.block("for (; a != end; a += 4, b += 4, c += 4, e += 4, x += 4)"),
                c.block("for (int i = 0; i < 4; i++)"),
            ):
                c("uint32_t x0 = x[i], p0 = a[i], p1 = b[i], p2 = c[i], p3 = e[i];")
                for name in ("p0", "x0", "p1", "p2", "p3"):
                    c(f"MICO_ORDER({name});")
                for k in range(4):
                    c(f"MICO_MULTIPLY(p{k}, x0);")
                for k in range(4):
                    c.add(f"d{k}", f"p{k}")
        for k in range(4):
            c(f"d[{k}] = d{k};")

    def _unused(self, c: Code) -> None:
        if self.bits == 8:
            c("(void)spare;")

    def _chunks(self, c: Code) -> AbstractContextManager[None]:
        return c.block("do", tail="while (code_words > 0);") if self.bits < 8 else c.block()

    def _advance(self, c: Code, rows: str) -> None:
        """To the codes that were unpacked, of each row."""
        c("a = (const uint8_t *)spare;")
        for before, row in pairwise(rows):
            c(f"{row} = {before} + {4 * CHUNK};")
        c("end = a + 4 * quads;")
        c(f"rows += {self.bits};")
        c(f"row_words -= {self.bits};")
        c(f"code_words -= {CHUNK};")

    def _four_taps(self, c: Code) -> None:
        for i in range(4):
            first, last = i % self.group == 0 and self.group <= 4, (i + 1) % self.group == 0 and self.group <= 4
            with c.block("", f"tap {i}"):
                c.let("x0", f"x[{i}]")
                c.let("u", f"a[{i}]")
                c.let("v", f"b[{i}]")
                c.let("x1", "x0 >> 8")
                c.set("x0", "x0 & positions")
                c.let("p0", "x0 * u", "positions 0 and 2 of channel a")
                c.set("x1", "x1 & positions")
                c.let("q0", "x0 * v", "of channel b")
                c.let("p1", "x1 * u", "positions 1 and 3 of channel a")
                c.let("q1", "x1 * v")
                for total, product in (("g0", "p0"), ("g1", "p1"), ("g2", "q0"), ("g3", "q1")) if first else ():
                    c(f"{total} = {product};")
                for total, product in () if first else (("g0", "p0"), ("g2", "q0"), ("g1", "p1"), ("g3", "q1")):
                    c.add(total, product)
                if last:
                    _split(c)
        for name in ("a", "b", "x"):
            c(f"{name} += 4;")

    def _last_codes(self, c: Code) -> None:
        """The last codes of a row, 1 to 3, when the streams of the four bytes have no `bits` left each but `have`: one after the other."""
        mask = f"0x{(1 << self.bits) - 1:02x}u"
        c("const uint32_t ones = (1u << have) - 1u;", "bits that each stream has left")
        c("const uint32_t low = (left & ones) | (left >> 8 & ones) << have;")
        c("const uint32_t all = low | ((left >> 16 & ones) | (left >> 24 & ones) << have) << 2 * have;")
        c(f"return (all & {mask}) | (all >> {self.bits} & {mask}) << 8 | (all >> {2 * self.bits} & {mask}) << 16;")

    def _unpack_chunk(self, c: Code) -> None:
        """A whole chunk of two rows; `to` has room for CHUNK words of each. Both at a time, so that nothing waits for a load or a shift."""
        bits, whole, spare = self.bits, self.whole, 8 % self.bits
        c(f"uint32_t mask = 0x{_bytes((1 << bits) - 1):08x}u;", "a code in each byte")
        if spare:
            c(
                f"uint32_t tops = 0x{0xFFFFFFFF ^ _bytes((1 << bits * whole) - 1):08x}u, left_a = 0, left_b = 0;",
                "bits left at the tops",
            )
        c("uint32_t a = row[0], b = other[0];")
        if spare:
            c("MICO_ORDER(tops);")
        c("MICO_ORDER(mask);", "takes no register where sums need it")
        have = at = 0
        for i in range(bits):
            with c.block("", f"word {i}"):
                c("const uint32_t word = a, word_b = b;")
                if i + 1 < bits:
                    c.set("a", f"row[{i + 1}]")
                    c.set("b", f"other[{i + 1}]")
                for j in range(whole):
                    with c.block():
                        c(f"uint32_t codes = word >> {bits * j}, others = word_b >> {bits * j};")
                        if j:
                            c("MICO_ORDER(codes);")
                            c("MICO_ORDER(others);")
                        c(f"to[{at}] = codes & mask;")
                        c(f"to[{at + CHUNK}] = others & mask;")
                    at += 1
                if not spare:
                    continue
                c("uint32_t top = word & tops, top_b = word_b & tops;")
                c("MICO_ORDER(top);")
                c("MICO_ORDER(top_b);")
                c(f"left_a |= top >> {8 - spare - have};")
                c(f"left_b |= top_b >> {8 - spare - have};")
                have += spare
                if have >= bits:
                    have -= bits
                    c(f"to[{at}] = left_a & mask;")
                    c(f"to[{at + CHUNK}] = left_b & mask;")
                    at += 1
                    for left in ("left_a", "left_b"):
                        c(f"{left} = {f'({left} & ~mask) >> {bits}' if have else 0};")

    def _unpack_rest(self, c: Code) -> None:
        """Less than a chunk: `words` of a row to `quads` words of four codes."""
        bits, whole, spare = self.bits, self.whole, 8 % self.bits
        c(
            f"const uint32_t mask = 0x{_bytes((1 << bits) - 1):08x}u, *const stop = row + words, *const end = to + quads;"
        )
        c("uint32_t left = 0;", "at most 7 bits of each byte")
        c("int32_t have = 0;")
        with c.block("while (row != stop)"):
            c("uint32_t word = *row++;")
            c("MICO_ORDER(word);", "stays a loop")
            for j in range(whole):
                c(f"*to++ = word >> {bits * j} & mask;")
            c(f"left |= (word >> {bits * whole} & 0x{_bytes((1 << spare) - 1):08x}u) << have;")
            c(f"have += {spare};")
            with c.block(f"if (have >= {bits})"):
                c("*to++ = left & mask;")
                c(f"left = (left & ~mask) >> {bits};")
                c(f"have -= {bits};")
        with c.block("if (to < end)"):
            c("*to = last_codes(left, have);")


def _split(c: Code) -> None:
    """The sums of a group are added to those of words, their high halves to those of high halves."""
    totals = ("a0", "a1", "b0", "b1")
    for i, total in enumerate(totals):
        c.add(total, f"g{i}")
        c.set(f"g{i}", f"g{i} >> 16")
    for i, total in enumerate(("ah0", "ah1", "bh0", "bh1")):
        c.add(total, f"g{i}")


def _bytes(code: int) -> int:
    """The code in each byte of a word."""
    return 0x01010101 * code
