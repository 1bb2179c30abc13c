"""Weights of 1, 2, 4 and 8 bits in lanes of 16 or of 8 bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mico_runner.codegen.micro.base import MicroKernel
from mico_runner.codegen.micro.code import Code
from mico_runner.codegen.packing import WORD

SUMS = ("s0", "s1", "s2", "s3", "t0", "t1", "t2", "t3")  # of output channels a and b, four positions each
ROWS = ("a", "b", "c", "e")  # words of weights of the rows of a narrow register block


@dataclass(frozen=True)
class Lanes(MicroKernel):
    """Several products in one multiplication: weights' codes in lanes, in reverse order of the patch's."""

    UNUSED = ("spare",)
    LANE: ClassVar[int]  # bits

    @property
    def mask(self) -> str:
        """A code in each lane."""
        return f"0x{sum(((1 << self.bits) - 1) << at for at in range(0, WORD, self.LANE)):08x}u"

    @property
    def size(self) -> int:
        """Bits of a code in its word of weights."""
        return self.bits

    @property
    def words(self) -> int:
        """Of a patch, for four taps: steps."""
        return 4 // self.LANES

    @property
    def steps(self) -> int:
        """For a word of weights."""
        return self.LANE // self.size

    @property
    def group(self) -> int:
        """Steps that are written out."""
        return min(self.steps, 8)

    @property
    def most(self) -> int:
        """Steps whose products a lane holds at most."""
        return ((1 << self.LANE) - 1) // (self.LANES * ((1 << self.act_bits) - 1) * ((1 << self.bits) - 1))

    @property
    def full(self) -> int:
        """Steps of a narrow register block until lanes are emptied; 0: at the end."""
        return min(self.most, self.group)

    @property
    def groups(self) -> str:
        """Whole groups of a row, in C."""
        return f"(uint32_t)(code_words / {self.group // self.words})"

    @property
    def rest(self) -> str:
        """Words of four taps beyond them."""
        return f"(uint32_t)(code_words % {self.group // self.words})"

    def word(self, row: str, group: str = "g") -> str:
        """The weights of a group of a row."""
        per_word = self.steps // self.group
        if per_word == 1:
            return f"{row}[{group}]"
        return f"{row}[{group} / {per_word}] >> {group} % {per_word} * {self.bits * self.group}"

    def places(self, taps: int) -> np.ndarray:
        place = np.empty(WORD // self.size, int)  # of a code within its word
        place[self.order()] = np.arange(len(place)) * self.size
        word, tap = np.divmod(np.arange(taps), len(place))
        return (word * WORD + place[tap])[:, None] + np.arange(self.bits)

    def order(self) -> np.ndarray:
        """(weights per word,) the tap, counted within the word, of each code from the lowest bits on."""
        count = WORD // self.size
        if self.LANES == 2:  # patch word j holds taps low, low + 2
            step = np.arange(count // 2)
            low = 4 * (step // 2) + step % 2
            return np.concatenate([low + 2, low])
        lane, step = np.divmod(np.arange(count), count // 4)  # patch word j holds taps 4 j .. 4 j + 3
        return 4 * step + 3 - lane

    def narrow(self, c: Code) -> None:
        c(f"const uint32_t mask = {self.mask};", "a code in each lane")
        c(f"const uint32_t rest = {self.rest} * {self.words};", "steps")
        c(f"uint32_t groups = {self.groups};", f"of {self.group} steps")
        c(
            "uint32_t d0 = 0, d1 = 0, d2 = 0, d3 = 0, s0 = 0, s1 = 0, s2 = 0, s3 = 0;",
            "sums, and what lanes hold of them",
        )
        self.narrow_groups(c)
        with c.block("if (rest > 0)"):
            self._next_words(c, "uint32_t", "groups")
            with c.block("for (uint32_t i = 0; i < rest; i++)"):
                self.narrow_step(c, "0")
                if 0 < self.full < self.group:
                    self.empty(c)
                for row in ROWS:
                    c(f"{row} >>= {self.size};")
                c("patch++;")
                c("MICO_ORDER(a);", "stays a loop")
            if self.full:
                self.empty(c)
        if not self.full:
            self.empty(c)
        for i in range(4):
            c(f"d[{i}] = terms[{i}] + {self.scale} * d{i};")

    def narrow_groups(self, c: Code) -> None:
        """All whole groups."""
        with c.block("for (uint32_t g = 0; g < groups; g++)"):
            self._next_words(c, "const uint32_t", "g")
            self.narrow_group(c)

    def _next_words(self, c: Code, kind: str, group: str) -> None:
        for i, name in enumerate(ROWS):
            row = "rows" if i == 0 else f"(rows + {i} * row_words)"
            c(f"{kind} {name} = {self.word(row, group)};")

    def narrow_group(self, c: Code) -> None:
        """The steps of a group: one position, four rows."""
        with c.block(f"for (int j = 0; j < {self.group}; j++)"):
            self.narrow_step(c, "j")
            if self.full == 1:
                self.empty(c)
            elif self.full:
                with c.block(f"if ((j + 1) % {self.full} == 0)"):
                    self.empty(c)
        c(f"patch += {self.group};")

    def narrow_step(self, c: Code, j: str) -> None:
        """Step j."""
        c(f"const uint32_t x = patch[{j}];")
        shift = f" >> {self.size} * j" if j == "j" else ""
        c(f"uint32_t {', '.join(f'p{i} = {row}{shift}' for i, row in enumerate(ROWS))};")
        for i in range(4):
            c(f"MICO_ORDER(p{i});")
        for i in range(4):
            c.set(f"p{i}", f"(p{i} & mask) * x")
        for i in range(4):
            c.add(f"s{i}", f"p{i}")

    def empty(self, c: Code) -> None:
        """What lanes hold is added to the sums."""
        for i in range(4):
            c(f"d{i} += s{i} >> {WORD - self.LANE};")
        c("s0 = s1 = s2 = s3 = 0;")


@dataclass(frozen=True)
class Lanes16(Lanes):
    """(x0 + x1 << 16) * (u1 + u0 << 16) has x0 * u0 + x1 * u1 in its high half: two products and their sum in one multiplication."""

    FAMILY = "lanes16"
    PACK = "mico_pack_halves"
    LANE = 16

    def spare_words(self, taps: int, outputs: int, tile: int) -> int:
        """A patch alone has its codes in halves of words."""
        return 2 * self.quads(taps) if tile == 1 else 0

    def wide(self, c: Code) -> None:
        per_word = self.steps // self.group
        c(f"const uint32_t mask = {self.mask}, even = MICO_EVEN;", "a code of each lane; bytes 0 and 2")
        c("const uint32_t *other = rows + row_words, *from = terms, *from2 = terms;")
        c(f"const uint32_t full = {self.groups};", f"groups of {self.group} steps")
        c(f"uint32_t rest = {self.rest}, g = 0;")
        c("const uint32_t groups = full + (rest > 0);")
        with c.block("for (;;)"):
            most = self.most // self.steps * per_word
            c(
                f"const uint32_t stop = groups - g < {most} ? groups : g + {most}, end = stop < full ? stop : full;",
                "lanes are emptied there",
            )
            c("uint32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0, t0 = 0, t1 = 0, t2 = 0, t3 = 0, a = 0, b = 0;")
            with c.block("while (g != end)"):
                c("a = *rows++;")
                c("b = *other++;")
                for j in range(0, self.group, 2):
                    self.two_steps(c, j)
                c("g++;")
                if per_word == 2:
                    with c.block("if (g == end)"):
                        c("patch += 16;")
                        c("break;")
                    for j in range(self.group, self.steps, 2):
                        self.two_steps(c, j)
                    c("g++;")
                c(f"patch += {2 * self.steps};")
            with c.block("if (g != stop)"):
                if per_word == 2:
                    with c.block(
                        "if (g % 2 == 0)", "a multiple of which is the number of groups until lanes are emptied"
                    ):
                        self._next(c)
                    with c.block("else"):
                        c("a >>= 8;")
                        c("b >>= 8;")
                else:
                    self._next(c)
                with c.block("for (; rest > 0; rest--)"):
                    self.two_steps(c, 0)
                    c(f"a >>= {2 * self.bits};")
                    c(f"b >>= {2 * self.bits};")
                    c("patch += 4;")
                    c("MICO_ORDER(a);", "stays a loop")
                c("g++;")
            put_sums(c, "from", "from2", 16 - (self.scale == 2))
            with c.block("if (g == groups)"):
                c("break;")
            c("from = d;")
            c("from2 = d + 4;")

    def _next(self, c: Code) -> None:
        c("a = *rows;")
        c("b = *other;")

    def two_steps(self, c: Code, j: int) -> None:
        """Steps j and j + 1: a word of each patch has codes 0 and 2 for the one, 1 and 3 for the other."""
        with c.block("", f"taps {2 * j} to {2 * j + 3}"):
            c.let("x0", f"patch[{2 * j}]")
            c.let("x1", f"patch[{2 * j + 1}]")
            names = ("codes", "others", "codes2", "others2")
            for name, word, step in zip(names, "abab", (j, j, j + 1, j + 1), strict=True):
                if step:
                    c.let(name, f"{word} >> {self.size * step}")
                else:
                    c(f"uint32_t {name} = {word};")
            for name in names:
                c.set(name, f"{name} & mask")
            c("uint32_t x2, x3;")
            with c.block("", "positions 0 and 1"):
                _even_and_odd(c, ("x0", "x1"), (0, 1))
                c.set("x2", f"patch[{2 * j + 2}]")
                c.set("x3", f"patch[{2 * j + 3}]")
                _add_two(c, 0, 1)
            with c.block("", "positions 2 and 3"):
                _even_and_odd(c, ("x2", "x3"), (2, 3))
                _add_two(c, 2, 3)


@dataclass(frozen=True)
class Lanes8(Lanes):
    """Four lanes of 8 bits: the highest byte of a product is the sum of four."""

    FAMILY = "lanes8"
    LANES = 4
    LANE = 8

    def wide(self, c: Code) -> None:
        twice = f"{self.mask} << 1" if self.bits == 1 else self.mask
        c(
            f"const uint32_t mask = {twice};",
            "codes of one bit are 0 and 2, so that nothing is left to be scaled" if self.bits == 1 else "",
        )
        c("const uint32_t *other = rows + row_words;")
        c(f"const uint32_t groups = {self.groups};")
        c("uint32_t s0 = terms[0], s1 = terms[1], s2 = terms[2], s3 = terms[3], t0 = s0, t1 = s1, t2 = s2, t3 = s3;")
        c(f"uint32_t rest = {self.rest};")
        with c.block("for (uint32_t g = 0; g != groups; g++)"):
            c(f"const uint32_t a = {self.word('rows')}, b = {self.word('other')};")
            for j in range(0, self.group, 2):
                if self.most >= 2:
                    self.two_at_once(c, j)
                else:
                    self.one_step(c, j)
                    self.one_step(c, j + 1)
            c(f"patch += {4 * self.group};")
        with c.block("if (rest > 0)"):
            c(f"uint32_t a = {self.word('rows', 'groups')}, b = {self.word('other', 'groups')};")
            with c.block("do", tail="while (--rest > 0);"):
                self.one_step(c, 0)
                c(f"a >>= {self.bits};")
                c(f"b >>= {self.bits};")
                c("patch += 4;")
                c("MICO_ORDER(a);", "stays a loop")
        for i, name in enumerate(SUMS):
            c(f"d[{i}] = {name};")

    def codes(self, c: Code, name: str, word: str, j: int) -> None:
        up = self.size * j - (self.bits == 1)
        value = f"{word} << 1" if up < 0 else f"{word} >> {up}"
        (c.let if self.bits == 1 or j else lambda n, v: c(f"uint32_t {n} = {v};"))(name, value)

    def one_step(self, c: Code, j: int) -> None:
        """A step, whose products are emptied at once."""
        with c.block("", f"taps {4 * j} to {4 * j + 3}"):
            self.codes(c, "codes", "a", j)
            self.codes(c, "others", "b", j)
            c("codes &= mask;")
            c("others &= mask;")
            one_of_both(c, j)

    def two_at_once(self, c: Code, j: int) -> None:
        """Two steps, whose products are emptied together."""
        with c.block("", f"taps {4 * j} to {4 * j + 7}"):
            self.codes(c, "codes", "a", j)
            self.codes(c, "others", "b", j)
            self.codes(c, "codes2", "a", j + 1)
            self.codes(c, "others2", "b", j + 1)
            for name in ("codes", "others", "codes2", "others2"):
                c(f"{name} &= mask;")
            two_of_both(c, j)


def _even_and_odd(c: Code, x: tuple[str, str], positions: tuple[int, int]) -> None:
    """Both steps of two positions but the last four additions."""
    for i in range(2):
        c(f"uint32_t odd{i} = {x[i]} >> 8;")
    c("MICO_ORDER(odd0);")
    c("MICO_ORDER(odd1);")
    for name in x:
        c.set(name, f"{name} & even")
    with c.block():
        _products(c, x, ("codes", "others"))
        c.set("odd0", "odd0 & even")
        c.set("odd1", "odd1 & even")
        _add_two(c, *positions)
    _products(c, ("odd0", "odd1"), ("codes2", "others2"))


def _products(c: Code, x: tuple[str, str], codes: tuple[str, str], name: str = "p") -> None:
    for i, (code, word) in enumerate((code, word) for code in codes for word in x):
        c.let(f"{name}{i}", f"{word} * {code}")


def _add_two(c: Code, i: int, k: int) -> None:
    for product, total in enumerate((f"s{i}", f"s{k}", f"t{i}", f"t{k}")):
        c.add(total, f"p{product}")


def one_of_both(c: Code, j: int) -> None:
    """Step j of lanes of 8 bits, two positions at a time."""
    for i in (0, 2):
        with c.block("", f"positions {i} and {i + 1}"):
            c(f"uint32_t x0 = patch[{4 * j + i}], x1 = patch[{4 * j + i + 1}];")
            c("MICO_ORDER(x0);")
            c("MICO_ORDER(x1);")
            _products(c, ("x0", "x1"), ("codes", "others"))
            for k in range(4):
                c.set(f"p{k}", f"p{k} >> 24")
            _add_two(c, i, i + 1)


def two_of_both(c: Code, j: int) -> None:
    """Steps j and j + 1."""
    for i in (0, 2):
        with c.block("", f"positions {i} and {i + 1}"):
            for name, at in (("x", 4 * j + i), ("y", 4 * j + 4 + i)):
                c(f"uint32_t {name}0 = patch[{at}], {name}1 = patch[{at + 1}];")
                c(f"MICO_ORDER({name}0);")
                c(f"MICO_ORDER({name}1);")
            _products(c, ("x0", "x1"), ("codes", "others"))
            _products(c, ("y0", "y1"), ("codes2", "others2"), "q")
            for k in range(4):
                c.set(f"p{k}", f"p{k} + q{k}")
            for k in range(4):
                c.set(f"p{k}", f"p{k} >> 24")
            _add_two(c, i, i + 1)


def put_sums(c: Code, before: str, before2: str, top: int) -> None:
    """What the lanes hold is added to what was before. All of it is read before any is written, which might be the same."""
    for name in SUMS:
        c(f"{name} >>= {top};")
    for name, at in (("c", before), ("e", before2)):
        c(f"const uint32_t {', '.join(f'{name}{i} = {at}[{i}]' for i in range(4))};")
    for i, name in enumerate(SUMS):
        c(f"d[{i}] = {'ce'[i // 4]}{i % 4} + {name};")
