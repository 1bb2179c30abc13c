"""One-bit weights and activations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mico_runner.codegen.micro.base import CODES, MicroKernel
from mico_runner.codegen.micro.code import Code
from mico_runner.codegen.packing import WORD, row_words
from mico_runner.quant.qgraph import QType

# The pairs of bits, of fours and of bytes of a word that is being counted.
_MASKS = {"pairs": "0x55555555u", "fours": "0x33333333u", "bytes": "0x0f0f0f0fu"}


@dataclass(frozen=True)
class SingleBits(MicroKernel):
    """One-bit weights and activations: 32 products are one AND, their sum is a population count."""

    LANES = WORD
    LAYOUT = "MICO_ROW"
    PACK, PACK_FOUR = "mico_pack_bits", "mico_pack_four_bits"
    UNUSED = ("code_words", "spare")  # the padding is zero in whole words
    HEADER = "mico_bits.h"

    @property
    def name(self) -> str:
        return "signs" if self.half else "bits"

    @property
    def small(self) -> bool:
        return False

    def takes(self, activation: QType, padded: bool) -> bool:
        return activation.bits == 1 and not activation.is_sign

    def holds(self, taps: int) -> bool:
        return taps > CODES

    def quads(self, taps: int) -> int:
        return row_words(taps, self.bits) * (WORD // CODES)

    def scratch_words(self, taps: int, outputs: int, positions: int) -> int:
        tile, codes = self.tile(positions), -(-taps // CODES)
        return max(codes + tile * row_words(taps, self.bits), codes * tile)

    def places(self, taps: int) -> np.ndarray:
        return np.arange(taps)[:, None]

    @property
    def top(self) -> int:
        """The highest byte of a count goes down by this, and is so scaled by sw * sx, 2 or 4.

        It holds 64 at most, and the bits of the next one that are kept are zero.
        """
        return 24 - (2 if self.half else 1)

    def wide(self, c: Code) -> None:
        self._constants(c)
        with c.block("for (int row = 0; row < 2; row++, d += 4)"):
            c("const uint32_t *x = patch, *const end = rows + row_words;")
            c("uint32_t s[4] = {terms[0], terms[1], terms[2], terms[3]};")
            with c.block("for (; end - rows >= 2; rows += 2, x += 8)"):
                c("const uint32_t u = rows[0], v = rows[1];")
                self._count(c, [f"x[{i}]" for i in range(4)], [f"x[{4 + i}]" for i in range(4)])
            with c.block("if (rows != end)"):
                c("const uint32_t u = *rows++;")
                self._count(c, [f"x[{i}]" for i in range(4)])
            for i in range(4):
                c(f"d[{i}] = s[{i}];")

    def narrow(self, c: Code) -> None:
        """The same products with the roles of patch and rows changed."""
        self._constants(c)
        c("const uint32_t *const end = patch + row_words;")
        c("uint32_t s[4] = {terms[0], terms[0], terms[0], terms[0]};")
        with c.block("for (; end - patch >= 2; patch += 2, rows += 2)"):
            c("const uint32_t u = patch[0], v = patch[1];")
            each = [f"rows[{i} * row_words]" for i in range(4)]
            self._count(c, each, [f"rows[{i} * row_words + 1]" for i in range(4)])
        with c.block("if (patch != end)"):
            c("const uint32_t u = *patch;")
            self._count(c, each)
        for i in range(4):
            c(f"d[{i}] = s[{i}];")

    def _constants(self, c: Code) -> None:
        c(f"const uint32_t {', '.join(f'{name} = {value}' for name, value in _MASKS.items())};")
        c("uint32_t three = 3, ones = 0x01010101u;")
        c("MICO_ORDER(three);", "multiplications, no shifts")
        c("MICO_ORDER(ones);")

    def _count(self, c: Code, first: Sequence[str], second: Sequence[str] = ()) -> None:
        """s[i] += (bits of first[i] & u, and of second[i] & v) << 24 >> top.

        Two positions at a time: every shift and multiplication has two operations before its result is used.
        """
        with c.block():
            for i in range(2):
                c.let(f"x{i}", first[i])
            for i in range(2 * bool(second)):
                c.let(f"y{i}", second[i])
            both(c, "x = x & u")
            if second:
                both(c, "y = y & v")
            self._add_up(c, "x", bool(second))
            for i in range(2):
                c.let(f"z{i}", first[2 + i])
            for i in range(2 * bool(second)):
                c.set(f"y{i}", second[2 + i])
            both(c, f"x = x >> {self.top}", "z = z & u", *["y = y & v"] * bool(second))
            for i in range(2):
                c.set(f"s[{i}]", f"s[{i}] + x{i}")
            self._add_up(c, "z", bool(second))
            for i in range(2):
                c(f"s[{2 + i}] += z{i} >> {self.top};")

    def _add_up(self, c: Code, x: str, two: bool) -> None:
        """The bits of both x, and of `two` those of both y, are counted in bytes, and these added up in the highest byte of x."""
        with c.block("", f"bits of {x}0 and {x}1"):
            for step in ("h = x >> 1", "h = h & pairs", "x = x - h", "h = x >> 2", "h = h & fours"):
                new = "uint32_t " if step == "h = x >> 1" else ""
                both(c, new + step.replace("x", x))
                if two:
                    both(c, new + step.replace("h", "k").replace("x", "y"))
            if two:  # 4 a + b - 3 a = a + b, of both words
                both(c, "h = h + k", "h = h * three", f"{x} = {x} + y", f"{x} = {x} - h")
            else:
                both(c, f"{x} = {x} & fours", f"{x} = {x} + h")
            both(c, f"h = {x} >> 4", f"{x} = {x} & bytes", "h = h & bytes", f"{x} = {x} + h", f"{x} = {x} * ones")


@dataclass(frozen=True)
class SingleSigns(SingleBits):
    """Signs, -1 and +1: 32 products are one AND of bits, their sum is a population count."""

    @property
    def half(self) -> bool:
        return True

    def takes(self, activation: QType, padded: bool) -> bool:
        """Padding is no sign."""
        return activation.bits == 1 and activation.is_sign and not padded


def both(c: Code, *instructions: str) -> None:
    """Each instruction twice: words h, k, x, y and z are numbered."""
    for text in instructions:
        for i in range(2):
            name, value = re.sub(r"\b([hkxyz])\b", rf"\g<1>{i}", text).split(" = ")
            c.set(name, value)
