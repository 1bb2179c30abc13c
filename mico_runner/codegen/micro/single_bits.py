"""One-bit weights and activations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mico_runner.codegen.micro.base import VALUES, MicroKernel
from mico_runner.codegen.micro.code import FOUR, Code
from mico_runner.codegen.packing import WORD, row_words
from mico_runner.quant.qgraph import QType

PAIR = range(2)  # of positions
# The pairs of bits, of fours and of bytes of a word that is being counted.
_MASKS = {"pairs": "0x55555555u", "fours": "0x33333333u", "bytes": "0x0f0f0f0fu"}


@dataclass(frozen=True)
class SingleBits(MicroKernel):
    """One-bit weights and activations: 32 products are one AND, their sum is a population count."""

    LANES = WORD
    LAYOUT = "MICO_ROW"
    PACK, PACK_FOUR = "mico_pack_bits", "mico_pack_four_bits"
    UNUSED = ("value_words", "spare")  # the padding is zero in whole words
    HEADER = "mico_bits.h"

    @property
    def name(self) -> str:
        return "signs" if self.HALF else "bits"

    @property
    def small(self) -> bool:
        return False

    def takes(self, activation: QType, padded: bool) -> bool:
        return activation.bits == 1 and not activation.is_sign

    def holds(self, taps: int) -> bool:
        return taps > VALUES

    def quads(self, taps: int) -> int:
        return row_words(taps, self.bits) * (WORD // VALUES)

    def scratch_words(self, taps: int, outputs: int, positions: int) -> int:
        tile, values = self.tile(positions), -(-taps // VALUES)
        return max(values + tile * row_words(taps, self.bits), values * tile)

    def places(self, taps: int) -> np.ndarray:
        return np.arange(taps)[:, None]

    @property
    def top(self) -> int:
        """The highest byte of a count goes down by this, and is so scaled by sw * sx, 2 or 4.

        It holds 64 at most, and the bits of the next one that are kept are zero.
        """
        return 24 - (2 if self.HALF else 1)

    def wide(self, c: Code) -> None:
        self._constants(c)
        with c.block("for (int row = 0; row < 2; row++, d += 4)"):
            c("const uint32_t *x = column, *const end = rows + row_words;")
            c("uint32_t s[4] = {terms[0], terms[1], terms[2], terms[3]};")
            with c.block("for (; end - rows >= 2; rows += 2, x += 8)"):
                c("const uint32_t u = rows[0], v = rows[1];")
                self._count(c, [f"x[{i}]" for i in range(4)], [f"x[{4 + i}]" for i in range(4)])
            with c.block("if (rows != end)"):
                c("const uint32_t u = *rows++;")
                self._count(c, [f"x[{i}]" for i in range(4)])
            c("d[#] = s[#];", over=FOUR)

    def narrow(self, c: Code) -> None:
        """The same products with the roles of column and rows changed."""
        self._constants(c)
        c("const uint32_t *const end = column + row_words;")
        c("uint32_t s[4] = {terms[0], terms[0], terms[0], terms[0]};")
        with c.block("for (; end - column >= 2; column += 2, rows += 2)"):
            c("const uint32_t u = column[0], v = column[1];")
            each = [f"rows[{i} * row_words]" for i in range(4)]
            self._count(c, each, [f"rows[{i} * row_words + 1]" for i in range(4)])
        with c.block("if (column != end)"):
            c("const uint32_t u = *column;")
            self._count(c, each)
        c("d[#] = s[#];", over=FOUR)

    def _constants(self, c: Code) -> None:
        c(f"const uint32_t {', '.join(f'{name} = {value}' for name, value in _MASKS.items())};")
        c("uint32_t three = 3, ones = 0x01010101u;")
        c("MICO_ORDER(three);", why="multiplications, no shifts")
        c("MICO_ORDER(ones);")

    def _count(self, c: Code, first: Sequence[str], second: Sequence[str] = ()) -> None:
        """s[i] += (bits of first[i] & u, and of second[i] & v) << 24 >> top.

        Two positions at a time: every shift and multiplication has two operations before its result is used.
        """
        two = bool(second)
        with c.block():
            for name, words in (("x", first), ("y", second)):
                c.ordered(*(f"uint32_t {name}{i} = {word}" for i, word in enumerate(words[:2])))
            c.ordered("x# = x# & u", *["y# = y# & v"] * two, over=PAIR)
            self._add_up(c, "x", two)
            c.ordered(*(f"uint32_t z{i} = {word}" for i, word in enumerate(first[2:])))
            c.ordered(*(f"y{i} = {word}" for i, word in enumerate(second[2:])))
            c.ordered(f"x# = x# >> {self.top}", "z# = z# & u", *["y# = y# & v"] * two, over=PAIR)
            c.ordered("s[#] = s[#] + x#", over=PAIR)
            self._add_up(c, "z", two)
            for i in PAIR:
                c(f"s[{2 + i}] += z{i} >> {self.top};")

    def _add_up(self, c: Code, x: str, two: bool) -> None:
        """The bits of both x, and of `two` those of both y, are counted in bytes, and these added up in the highest byte of x."""
        with c.block("", f"bits of {x}0 and {x}1"):
            x += "#"
            for step in ("uint32_t h = x >> 1", "h = h & pairs", "x = x - h", "h = x >> 2", "h = h & fours"):
                for half, word in (("h#", x), ("k#", "y#"))[: 1 + two]:
                    c.ordered(step.replace("h", half).replace("x", word), over=PAIR)
            if two:  # 4 a + b - 3 a = a + b, of both words
                c.ordered("h# = h# + k#", "h# = h# * three", f"{x} = {x} + y#", f"{x} = {x} - h#", over=PAIR)
            else:
                c.ordered(f"{x} = {x} & fours", f"{x} = {x} + h#", over=PAIR)
            c.ordered(f"h# = {x} >> 4", f"{x} = {x} & bytes", "h# = h# & bytes", f"{x} = {x} + h#", over=PAIR)
            c.ordered(f"{x} = {x} * ones", over=PAIR)


@dataclass(frozen=True)
class SingleSigns(SingleBits):
    """Signs, -1 and +1: 32 products are one AND of bits, their sum is a population count."""

    HALF = True

    def takes(self, activation: QType, padded: bool) -> bool:
        """Padding is no sign."""
        return activation.bits == 1 and activation.is_sign and not padded
