"""Weights of 5, 6 and 7 bits, which do not fill a lane of 16."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mico_runner.codegen.micro.base import POSITIONS, VALUES, MicroKernel, xored
from mico_runner.codegen.micro.code import FOUR, Code
from mico_runner.codegen.micro.lanes import ROWS
from mico_runner.codegen.packing import WORD

LANE = 16


@dataclass(frozen=True)
class OddLanes(MicroKernel):
    """Two products in one multiplication, of weights of 5, 6 or 7 bits.

    A lane of a word of weights holds whole values from its lowest bit on, each of which a shift and a mask bring into place. A *group*
    is as many words as have bits for whole values left at their tops, which are such that the words, XORed after shifts, make up a
    word of further values: five words of 5 bits are 15 steps and one put together, three of 6 bits 6 + 2, seven of 7 bits 14 + 2.
    Rows are whole groups.
    """

    FAMILY = "lanes16"
    PACK = "mico_pack_halves"
    UNUSED = ("value_words", "spare")

    @property
    def group_taps(self) -> int:
        """Taps of as few words as hold whole values in each lane."""
        return 2 * math.lcm(self.bits, LANE) // self.bits

    @property
    def words(self) -> int:
        """The words of a group."""
        return self.group_taps * self.bits // WORD

    @property
    def steps(self) -> int:
        """The steps of a group, of two taps each."""
        return self.group_taps // 2

    @property
    def most(self) -> int:
        """Groups whose products a lane holds."""
        return ((1 << LANE) - 1) // (self.group_taps * ((1 << self.act_bits) - 1) * ((1 << self.bits) - 1))

    def holds(self, taps: int) -> bool:
        return taps % self.group_taps == 0

    def places(self, taps: int) -> np.ndarray:
        """Per group the whole values of each lane, word by word, then those of what is left at the tops."""
        group = self.group_taps
        words = np.arange(self.words)[:, None] * WORD
        whole = LANE // self.bits * self.bits
        parts = (words + np.arange(whole)).ravel(), (words + np.arange(whole, LANE)).ravel()
        steps = np.concatenate(parts).reshape(-1, self.bits)
        # a value word's taps: two steps, the first of each in the high lane
        high, at = np.divmod(np.arange(group) % VALUES, 2)
        found: np.ndarray = steps[np.arange(group) // VALUES * 2 + at] + (1 - high)[:, None] * LANE
        return (found + np.arange(taps // group)[:, None, None] * group * self.bits).reshape(taps, self.bits)

    def mixed(self, words: np.ndarray) -> np.ndarray:
        return xored(words, self.words, LANE, LANE % self.bits)

    @property
    def mask(self) -> str:
        """A value in each lane."""
        return f"0x{((1 << self.bits) - 1) * 0x10001:08x}u"

    def wide(self, c: Code) -> None:
        sums = range(2 * POSITIONS)
        c(f"const uint32_t mask = {self.mask}, even = MICO_EVEN;", why="a value in each lane")
        c("const uint32_t *a = rows, *b = rows + row_words, *const end = b;")
        c("uint32_t s[2 * MICO_WIDE] = {0}, held[2 * MICO_WIDE] = {0}, *h = held;", "int begun = 0;")
        c("MICO_ORDER(h);", why="stays in memory, which only long rows read")
        with c.block("while (a != end)"):
            if self.most > 1:
                words = self.most * self.words
                stop = f"const uint32_t *const stop = end - a > {words} ? a + {words} : end;"
                c(stop, why="lanes are emptied there")
            c("uint32_t word_a, word_b;")
            with c.block("if (begun)"):
                with c.block("for (int i = 0; i < 2 * MICO_WIDE; i++)"):
                    c("h[i] = s[i];")
                c("MICO_ORDER(h);")
            c.ordered("word_# = #[0]", over="ab")
            self._wide_step(c, 0, ("word_a", "word_b"), 0, first=True)
            with c.block("for (;;)"):
                self._group(c, "ab", self._wide_step)
                c(f"# += {self.words};", over="ab")
                c(f"column += {POSITIONS * self.steps // 2};")
                if self.most == 1:
                    c("break;")
                else:
                    with c.block("if (a == stop)"):
                        c("break;")
                    c.ordered("word_# = #[0]", over="ab")
                    self._wide_step(c, 0, ("word_a", "word_b"), 0)
            c.ordered("s[#] = s[#] >> 16", over=sums)
            with c.block("if (begun)"):
                for half in (sums[:POSITIONS], sums[POSITIONS:]):
                    with c.block():
                        c.ordered("uint32_t more# = h[#]", "s[#] += more#", over=half)
            c("begun = 1;")
        c("const uint32_t t0 = terms[0], t1 = terms[1], t2 = terms[2], t3 = terms[3];")
        for i in sums:
            c(f"d[{i}] = t{i % POSITIONS} + s[{i}];")

    def narrow(self, c: Code) -> None:
        """Lanes are emptied after each group."""
        c(f"const uint32_t mask = {self.mask}, *const end = rows + row_words;", why="a value in each lane")
        with c.block("for (int i = 0; i < MICO_NARROW; i++)"):
            c("d[i] = terms[i];")
        with c.block(f"for (; rows != end; rows += {self.words}, column += {self.steps})"):
            c("const uint32_t *const a = rows, *const b = rows + row_words;")
            c("const uint32_t *const c = rows + 2 * row_words, *const e = rows + 3 * row_words;")
            c("uint32_t word_a, word_b, word_c, word_e, s[MICO_NARROW];")
            c.ordered("word_# = #[0]", over=ROWS)
            self._narrow_step(c, 0, [f"word_{row}" for row in ROWS], 0, first=True)
            self._group(c, ROWS, self._narrow_step)
            with c.block("for (int i = 0; i < MICO_NARROW; i++)"):
                c("d[i] += s[i] >> 16;")

    def _group(self, c: Code, rows: str, step: Callable[[Code, int, Sequence[str], int], None]) -> None:
        """A group's steps but the first."""
        whole, spare = LANE // self.bits, LANE % self.bits
        last = LANE - self.words * spare  # of a lane of what is put together: where its one or two values begin
        words, left = [f"word_{row}" for row in rows], [f"left_{row}" for row in rows]
        c(f"uint32_t {', '.join(f'{name} = 0' for name in left)};", why="bits left at the tops")
        for i in range(self.words):
            if i:
                c.ordered(f"word_# = #[{i}]", over=rows)
            for j in range(i == 0, whole):
                step(c, whole * i + j, words, j * self.bits)
            c.ordered(f"left_# = (left_# ^ word_#) >> {spare if i < self.words - 1 else last}", over=rows)
        for j in range((LANE - last) // self.bits):
            step(c, whole * self.words + j, left, j * self.bits)

    def _wide_step(self, c: Code, at: int, words: Sequence[str], shift: int, first: bool = False) -> None:
        """Two rows and four positions: a word of the columns is for two steps, values 0 and 2, then 1 and 3."""
        with c.block("", f"step {at}"):
            for i, word in enumerate(words):
                c.shifted(f"value{i}", word, shift)
            for i in range(POSITIONS):
                c.ordered(f"uint32_t x{i} = column[{at // 2 * POSITIONS + i}]")
            if at % 2:
                c.ordered("x# = x# >> 8", over=FOUR)
            c("x# &= even;", over=FOUR)
            for row in range(2):
                with c.block():
                    c(f"const uint32_t value = value{row} & mask;")
                    c.ordered("uint32_t p# = x# * value", over=FOUR)
                    self._sum(c, POSITIONS * row, first)

    def _narrow_step(self, c: Code, at: int, words: Sequence[str], shift: int, first: bool = False) -> None:
        """Four rows and one position."""
        with c.block("", f"step {at}"):
            for i, word in enumerate(words):
                c.shifted(f"value{i}", word, shift)
            c.ordered(f"uint32_t x = column[{at}]")
            c.ordered("uint32_t p# = (value# & mask) * x", over=FOUR)
            self._sum(c, 0, first)

    def _sum(self, c: Code, total: int, first: bool) -> None:
        for i in FOUR:
            if first:
                c(f"s[{total + i}] = p{i};")
            else:
                c.ordered(f"s[{total + i}] += p{i}")
