"""Weights of 3 bits, which lie in nibbles: three words are made up so that, shifted and XORed, they are a fourth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mico_runner.codegen.micro.base import xored
from mico_runner.codegen.micro.code import FOUR, Code
from mico_runner.codegen.micro.lanes import NO_SUMS, ROWS, Lanes, Lanes8, Lanes16, put_sums
from mico_runner.codegen.packing import WORD, row_words

NIBBLE = 4
WORDS = 3  # of weights, of which there are four words of nibbles


@dataclass(frozen=True)
class Nibbles(Lanes):
    """Weights of 3 bits in nibbles."""

    @property
    def size(self) -> int:
        return NIBBLE

    def places(self, taps: int) -> np.ndarray:
        """The values of a fourth word are in the fourth bits of three."""
        place = np.empty(WORD // NIBBLE, int)
        place[self.order()] = np.arange(len(place)) * NIBBLE
        word, tap = np.divmod(np.arange(taps), len(place))
        group, word = np.divmod(word, WORDS + 1)
        bit = np.arange(self.bits)
        at, top = (np.where(word < WORDS, own, fourth)[:, None] for own, fourth in ((word, 0), (0, 1)))
        in_word = np.where(top, NIBBLE - 1, bit)
        return (WORDS * group[:, None] + at + top * bit) * WORD + place[tap][:, None] + in_word

    def mixed(self, words: np.ndarray) -> np.ndarray:
        return xored(words, WORDS, NIBBLE, 1)

    def holds(self, taps: int) -> bool:
        """Some rows have more words of nibbles, up to three, than words."""
        rest = taps % WORD
        return row_words(rest, self.bits) >= min(WORDS, -(-rest * NIBBLE // WORD))

    def emit(self, c: Code, narrow: bool) -> None:
        with c.function("MICO_INLINE uint32_t nibbles_of(const uint32_t *row, uint32_t g)"):
            c("const uint32_t *end = row + g - g / 4;", why="three words are four")
            with c.block("if (g % 4 < 3)"):
                c("return *end;")
            c("return ((end[-3] >> 1 ^ end[-2]) >> 1 ^ end[-1]) >> 1;")
        super().emit(c, narrow)

    def word(self, row: str, group: str = "g") -> str:
        return f"nibbles_of({row}, {group})"

    def wide(self, c: Code) -> None:
        """Four words of nibbles at a time, then word by word of the column."""
        even = ", even = MICO_EVEN" if self.LANES == 2 else ""
        c(f"const uint32_t mask = {self.mask}{even};", why="a value in each lane")
        c("const uint32_t *other = rows + row_words, *const end = rows + (uint32_t)value_words / 8 * 3;", f"{NO_SUMS};")
        with c.block("while (rows != end)"):
            c("uint32_t left = 0, left2 = 0;", why="the fourth words")
            for g in range(WORDS + 1):
                with c.block("", f"word {g} of nibbles"):
                    c(f"const uint32_t a = {f'rows[{g}]' if g < WORDS else 'left'};")
                    c(f"const uint32_t b = {f'other[{g}]' if g < WORDS else 'left2'};")
                    self.taps(c, 0, 8)
                    c("column += 8;")
                    if g < WORDS:
                        c("left = (left ^ a) >> 1;", "left2 = (left2 ^ b) >> 1;")
                        c("MICO_ORDER(#);", over=("left", "left2"))
            c(f"rows += {WORDS};", f"other += {WORDS};")
        c("const uint32_t rest = (uint32_t)value_words % 8;")
        with c.block("for (uint32_t g = 0; 2 * g < rest; g++)"):
            c("uint32_t a = nibbles_of(rows, g), b = nibbles_of(other, g);")
            with c.block("for (uint32_t i = 2 * g; i < 2 * g + 2 && i < rest; i++)"):
                self.next_four_taps(c)
        put_sums(c, "terms", "terms", 16 if self.LANES == 2 else 0)

    def narrow_groups(self, c: Code) -> None:
        with c.block("for (; groups >= 4; groups -= 4, rows += 3)"):
            c("uint32_t left[4] = {0};", why="the fourth words")
            for g in range(WORDS + 1):
                with c.block("", f"word {g} of nibbles"):
                    for i, row in enumerate(ROWS):
                        at = f"rows[{f'{i} * row_words + ' if i else ''}{g}]"
                        c(f"const uint32_t {row} = {at if g < WORDS else f'left[{i}]'};")
                    self.narrow_group(c)
                    if g < WORDS:
                        for i, row in enumerate(ROWS):
                            c(f"left[{i}] = (left[{i}] ^ {row}) >> 1;")
                        c("MICO_ORDER(left[#]);", over=FOUR)
        super().narrow_groups(c)


@dataclass(frozen=True)
class Nibbles16(Nibbles, Lanes16):
    """(x0 + x1 << 16) * (u1 + u0 << 16) has x0 * u0 + x1 * u1 in its high half; weights of 3 bits lie in nibbles."""

    def holds(self, taps: int) -> bool:
        """Lanes are only emptied at the end: long rows overflow them."""
        return super().holds(taps) and taps <= self.LANES * self.most // WORD * WORD

    @property
    def full(self) -> int:
        return 0


@dataclass(frozen=True)
class Nibbles8(Nibbles, Lanes8):
    """Four lanes of 8 bits: the highest byte of a product is the sum of four; weights of 3 bits lie in nibbles."""
