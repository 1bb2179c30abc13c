"""Weights of 1, 2, 4 and 8 bits in lanes of 16 or of 8 bits."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mico_runner.codegen.micro.base import MicroKernel
from mico_runner.codegen.micro.code import FOUR, Code
from mico_runner.codegen.packing import WORD

SUMS = ("s0", "s1", "s2", "s3", "t0", "t1", "t2", "t3")  # of output channels a and b, four positions each
NO_SUMS = f"uint32_t {', '.join(f'{name} = 0' for name in SUMS)}"
ROWS = "abce"  # words of weights of the rows of a narrow register block
LOOP = "MICO_ORDER(a); /* stays a loop */"


@dataclass(frozen=True)
class Lanes(MicroKernel):
    """Several products in one multiplication: weights' values in lanes, in reverse order of the column's."""

    UNUSED = ("spare",)
    LANE: ClassVar[int]  # bits

    @property
    def mask(self) -> str:
        """A value in each lane."""
        return f"0x{sum(((1 << self.bits) - 1) << at for at in range(0, WORD, self.LANE)):08x}u"

    @property
    def size(self) -> int:
        """Bits of a value in its word of weights."""
        return self.bits

    @property
    def words(self) -> int:
        """Steps of a column for four taps."""
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

    def words_of_row(self, how: str) -> str:
        """Words of four taps in C: divided by (/) those of a group, and what is beyond whole groups (%)."""
        return f"(uint32_t)(value_words {how} {self.group // self.words})"

    def word(self, row: str, group: str = "g") -> str:
        """The weights of a group of a row."""
        per_word = self.steps // self.group
        if per_word == 1:
            return f"{row}[{group}]"
        return f"{row}[{group} / {per_word}] >> {group} % {per_word} * {self.bits * self.group}"

    def places(self, taps: int) -> np.ndarray:
        place = np.empty(WORD // self.size, int)  # of a value within its word
        place[self.order()] = np.arange(len(place)) * self.size
        word, tap = np.divmod(np.arange(taps), len(place))
        return (word * WORD + place[tap])[:, None] + np.arange(self.bits)

    def order(self) -> np.ndarray:
        """(weights per word,) the tap, counted within the word, of each value from the lowest bits on."""
        count = WORD // self.size
        if self.LANES == 2:  # column word j holds taps low, low + 2
            step = np.arange(count // 2)
            low = 4 * (step // 2) + step % 2
            return np.concatenate([low + 2, low])
        lane, step = np.divmod(np.arange(count), count // 4)  # column word j holds taps 4 j .. 4 j + 3
        return 4 * step + 3 - lane

    @abstractmethod
    def taps(self, c: Code, first: int, count: int) -> None:
        """The products of `count` taps, a multiple of four, of two rows and four positions."""

    def next_four_taps(self, c: Code) -> None:
        """Those of the lowest values in words a and b, which are used up so."""
        self.taps(c, 0, 4)
        c(f"# >>= {self.size * self.words};", over="ab")
        c("column += 4;", LOOP)

    def narrow(self, c: Code) -> None:
        c(f"const uint32_t mask = {self.mask};", why="a value in each lane")
        c(f"const uint32_t rest = {self.words_of_row('%')} * {self.words};", why="steps")
        c(f"uint32_t groups = {self.words_of_row('/')};", why=f"of {self.group} steps")
        sums = ", ".join(f"{name}{i} = 0" for name in "ds" for i in FOUR)
        c(f"uint32_t {sums};", why="sums, and what lanes hold of them")
        self.narrow_groups(c)
        with c.block("if (rest > 0)"):
            self._next_words(c, "uint32_t", "groups")
            with c.block("for (uint32_t i = 0; i < rest; i++)"):
                self.narrow_step(c, "0")
                if 0 < self.full < self.group:
                    self.empty(c)
                c(f"# >>= {self.size};", over=ROWS)
                c("column++;", LOOP)
            if self.full:
                self.empty(c)
        if not self.full:
            self.empty(c)
        c(f"d[#] = terms[#] + {self.scale} * d#;", over=FOUR)

    def narrow_groups(self, c: Code) -> None:
        """All whole groups."""
        with c.block("for (uint32_t g = 0; g < groups; g++)"):
            self._next_words(c, "const uint32_t", "g")
            self.narrow_group(c)

    def _next_words(self, c: Code, kind: str, group: str) -> None:
        for i, name in enumerate(ROWS):
            c(f"{kind} {name} = {self.word(f'(rows + {i} * row_words)' if i else 'rows', group)};")

    def narrow_group(self, c: Code) -> None:
        """The steps of a group: one position, four rows."""
        with c.block(f"for (int j = 0; j < {self.group}; j++)"):
            self.narrow_step(c, "j")
            if self.full == 1:
                self.empty(c)
            elif self.full:
                with c.block(f"if ((j + 1) % {self.full} == 0)"):
                    self.empty(c)
        c(f"column += {self.group};")

    def narrow_step(self, c: Code, j: str) -> None:
        """Step j."""
        c(f"const uint32_t x = column[{j}];")
        shift = f" >> {self.size} * j" if j == "j" else ""
        c(f"uint32_t {', '.join(f'p{i} = {row}{shift}' for i, row in enumerate(ROWS))};")
        c("MICO_ORDER(p#);", over=FOUR)
        c.ordered("p# = (p# & mask) * x", "s# += p#", over=FOUR)

    def empty(self, c: Code) -> None:
        """The contents of lanes are added to the sums."""
        c(f"d# += s# >> {WORD - self.LANE};", over=FOUR)
        c("s0 = s1 = s2 = s3 = 0;")


@dataclass(frozen=True)
class Lanes16(Lanes):
    """(x0 + x1 << 16) * (u1 + u0 << 16) has x0 * u0 + x1 * u1 in its high half: two products and their sum in one multiplication."""

    FAMILY = "lanes16"
    PACK = "mico_pack_halves"
    LANE = 16

    def wide(self, c: Code) -> None:
        per_word = self.steps // self.group  # groups
        each = 2 * self.group  # taps of a group
        c(f"const uint32_t mask = {self.mask}, even = MICO_EVEN;", why="a value of each lane; bytes 0 and 2")
        c("const uint32_t *other = rows + row_words, *from = terms, *from2 = terms;")
        c(f"const uint32_t full = {self.words_of_row('/')};", why=f"groups of {self.group} steps")
        c(f"uint32_t rest = {self.words_of_row('%')}, g = 0;", "const uint32_t groups = full + (rest > 0);")
        with c.block("for (;;)"):
            most = self.most // self.steps * per_word
            stop = f"stop = groups - g < {most} ? groups : g + {most}, end = stop < full ? stop : full"
            c(f"const uint32_t {stop};", why="lanes are emptied there")
            c(f"{NO_SUMS}, a = 0, b = 0;")
            with c.block("while (g != end)"):
                c("a = *rows++;", "b = *other++;")
                self.taps(c, 0, each)
                c("g++;")
                if per_word == 2:
                    with c.block("if (g == end)"):
                        c("column += 16;", "break;")
                    self.taps(c, each, each)
                    c("g++;")
                c(f"column += {2 * self.steps};")
            with c.block("if (g != stop)"):
                if per_word == 2:
                    why = "a multiple of which is the number of groups until lanes are emptied"
                    with c.block("if (g % 2 == 0)", why):
                        c("a = *rows;", "b = *other;")
                    with c.block("else"):
                        c("a >>= 8;", "b >>= 8;")
                else:
                    c("a = *rows;", "b = *other;")
                with c.block("for (; rest > 0; rest--)"):
                    self.next_four_taps(c)
                c("g++;")
            put_sums(c, "from", "from2", 16 - (self.scale == 2))
            with c.block("if (g == groups)"):
                c("break;")
            c("from = d;", "from2 = d + 4;")

    def taps(self, c: Code, first: int, count: int) -> None:
        """Four at a time, two steps: a word of each column has values 0 and 2 for the one, 1 and 3 for the other."""
        for tap in range(first, first + count, 4):
            j = tap // 2
            with c.block("", f"taps {tap} to {tap + 3}"):
                c.ordered(f"uint32_t x0 = column[{tap}]", f"uint32_t x1 = column[{tap + 1}]")
                names = ("values", "others", "values2", "others2")
                for name, word, step in zip(names, "abab", (j, j, j + 1, j + 1), strict=True):
                    c.shifted(name, word, self.size * step)
                c.ordered("# = # & mask", over=names)
                c("uint32_t x2, x3;")
                for i in (0, 2):
                    words = (f"x{i}", f"x{i + 1}")
                    with c.block("", f"positions {i} and {i + 1}"):
                        c(f"uint32_t odd0 = x{i} >> 8;", f"uint32_t odd1 = x{i + 1} >> 8;")
                        c("MICO_ORDER(odd#);", over=(0, 1))
                        c.ordered("# = # & even", over=words)
                        with c.block():
                            _products(c, words, ("values", "others"))
                            c.ordered("odd# = odd# & even", over=(0, 1))
                            _add_two(c, i)
                        _products(c, ("odd0", "odd1"), ("values2", "others2"))
                        if i == 0:
                            c.ordered(f"x2 = column[{tap + 2}]", f"x3 = column[{tap + 3}]")
                        _add_two(c, i)


@dataclass(frozen=True)
class Lanes8(Lanes):
    """Four lanes of 8 bits: the highest byte of a product is the sum of four."""

    FAMILY = "lanes8"
    LANES = 4
    LANE = 8

    def wide(self, c: Code) -> None:
        twice = self.scale == 2
        why = "values of one bit are 0 and 2, so that nothing is left to be scaled" if twice else ""
        c(f"const uint32_t mask = {self.mask}{' << 1' * twice};", why=why)
        c("const uint32_t *other = rows + row_words;", f"const uint32_t groups = {self.words_of_row('/')};")
        c("uint32_t s0 = terms[0], s1 = terms[1], s2 = terms[2], s3 = terms[3], t0 = s0, t1 = s1, t2 = s2, t3 = s3;")
        c(f"uint32_t rest = {self.words_of_row('%')};")
        with c.block("for (uint32_t g = 0; g != groups; g++)"):
            c(f"const uint32_t a = {self.word('rows')}, b = {self.word('other')};")
            self.taps(c, 0, 4 * self.group)
            c(f"column += {4 * self.group};")
        with c.block("if (rest > 0)"):
            c(f"uint32_t a = {self.word('rows', 'groups')}, b = {self.word('other', 'groups')};")
            with c.block("do", tail="while (--rest > 0);"):
                self.next_four_taps(c)
        c(*(f"d[{i}] = {name};" for i, name in enumerate(SUMS)))

    def taps(self, c: Code, first: int, count: int) -> None:
        """Eight at a time, two steps whose products are emptied together, if a lane holds them; else four."""
        each, twice = 8 if self.most >= 2 and count >= 8 else 4, self.scale == 2
        for tap in range(first, first + count, each):
            steps = list(zip(range(tap // 4, (tap + each) // 4), ("", "2"), "xy", "pq", strict=False))
            with c.block("", f"taps {tap} to {tap + each - 1}"):
                for j, second, _, _ in steps:
                    for name, word in (("values", "a"), ("others", "b")):
                        value = f"{word} << 1" if twice and j == 0 else f"{word} >> {self.size * j - twice}"
                        if j or twice:
                            c.ordered(f"uint32_t {name}{second} = {value}")
                        else:
                            c(f"uint32_t {name}{second} = {value};")
                for _, second, _, _ in steps:
                    c(f"values{second} &= mask;", f"others{second} &= mask;")
                for i in (0, 2):
                    with c.block("", f"positions {i} and {i + 1}"):
                        for j, _, x, _ in steps:
                            c(f"uint32_t {x}0 = column[{4 * j + i}], {x}1 = column[{4 * j + i + 1}];")
                            c(f"MICO_ORDER({x}#);", over=(0, 1))
                        for _, second, x, p in steps:
                            _products(c, (f"{x}0", f"{x}1"), (f"values{second}", f"others{second}"), p)
                        if len(steps) == 2:
                            c.ordered("p# = p# + q#", over=FOUR)
                        c.ordered("p# = p# >> 24", over=FOUR)
                        _add_two(c, i)


def _products(c: Code, words: tuple[str, ...], values: tuple[str, str], name: str = "p") -> None:
    for i, (value, word) in enumerate((value, word) for value in values for word in words):
        c.ordered(f"uint32_t {name}{i} = {word} * {value}")


def _add_two(c: Code, i: int) -> None:
    """The products of positions i and i + 1 to the sums of both channels."""
    c.ordered(*(f"{total} += p{at}" for at, total in enumerate((f"s{i}", f"s{i + 1}", f"t{i}", f"t{i + 1}"))))


def put_sums(c: Code, before: str, before2: str, top: int) -> None:
    """The contents of the lanes are added to what was before. All of it is read before any is written, which might be the same."""
    c(f"# >>= {top};", over=SUMS)
    c(f"const uint32_t {', '.join(f'c{i} = {before}[{i}]' for i in FOUR)};")
    c(f"const uint32_t {', '.join(f'e{i} = {before2}[{i}]' for i in FOUR)};")
    for i, name in enumerate(SUMS):
        c(f"d[{i}] = {'ce'[i // 4]}{i % 4} + {name};")
