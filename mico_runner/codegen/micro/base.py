"""A micro-kernel: the inner loops of a layer for some pair of bits, and all that the rest of the program must know of them.

Weights are stored as unsigned quantised values u, w = scale * u - zero_point, of as many bits as before. Within each word they are in the
order that a shift and a mask bring into lanes. The constant terms of the product are in the bias (codegen/tiling.py).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from mico_runner.codegen.micro.code import Code
from mico_runner.codegen.packing import WORD
from mico_runner.quant.qgraph import QType

POSITIONS, EIGHT = 4, 8  # MICO_WIDE, MICO_MOST
PAIR, OUTPUTS = 2, 4  # output channels of a wide register block and of a narrow one, MICO_NARROW
VALUES = 4  # in a word, as bytes
COLUMN_CYCLES = {
    False: 145.4,
    True: 446.2,
}  # per position: of wide register blocks, of narrow ones; fitted with `Cycles`
_TILE = (
    "const uint32_t *column, const uint32_t *rows, int32_t row_words, int32_t value_words, const uint32_t *terms, "
    "uint32_t *d, uint32_t *spare"
)
_LAYER = "const mico_conv2d_tiled_t *p, const void *x, void *y, uint32_t *scratch"
_PREPARE = "const mico_conv2d_tiled_t *p, const uint8_t *x, int32_t iy, int32_t ix, uint32_t *scratch, uint32_t *terms"


class Cycles(NamedTuple):
    """Cycles of a micro-kernel, by which `policy` chooses among those that hold a layer's bits.

    Source: least squares on the cycles of 40 layers of four positions or more (wide) and 32 of one (narrow) per micro-kernel, random
    sizes, caches cold, on the RTL of VexRiscv Full without wait states, gcc 12 -O3; 3.6 and 3.8 % off on average. `python -m
    tests.bench tiles` measures and fits them anew.

    Attributes:
        call: per layer.
        packing, gathering: per position and four taps, and what gathering them adds.
        output: per register block and output.
        step: per register block, output and four taps.
        block: per register block, output and block of tables.
    """

    call: float
    packing: float
    gathering: float
    output: float
    step: float
    block: float = 0.0


class Parts(NamedTuple):
    """Cycles of a layer: once; to prepare columns, alone, by their length, and what gathering adds; of sums, and of their steps."""

    call: float
    columns: float
    packing: float
    gathering: float
    sums: float
    steps: float


@dataclass(frozen=True)
class MicroKernel(ABC):
    """A kernel `mico_conv2d_<name>`: two outputs x four positions at a time (wide) or four outputs of one position (narrow).

    Attributes:
        act_bits: of activations, at most.
        bits: of weights.
        wide_cycles, narrow_cycles: what it takes.
    """

    act_bits: int
    bits: int
    wide_cycles: Cycles
    narrow_cycles: Cycles

    FAMILY: ClassVar[str]  # of its name
    LANES: ClassVar[int] = 2  # values in a word of a column: 2 or 4 lanes, or 32 bits
    TABLES: ClassVar[bool] = False  # whether it has tables in its scratch, besides columns of two rows at most
    LAYOUT: ClassVar[str] = "MICO_WORDS"  # how the columns of a wide register block lie (mico_gather.h)
    PACK: ClassVar[str] = ""  # function that packs one column, if any
    PACK_FOUR: ClassVar[str] = ""  # function that packs four
    HEADER: ClassVar[str] = "mico_tile.h"  # with these functions
    BLOCK: ClassVar[str] = ""  # "_channels": a block has all output channels
    HALF: ClassVar[bool] = False  # whether signed one-bit activations are 0 and 1 instead of 0 and 2
    UNUSED: ClassVar[tuple[str, ...]] = ()  # parameters of `block`

    @property
    def name(self) -> str:
        """The name of its functions in C."""
        return f"{self.FAMILY}_{self.act_bits}x{self.bits}"

    @property
    def positions(self) -> int:
        """Positions of the wide register block."""
        return POSITIONS

    @property
    def zero_point(self) -> int:
        """The zero point of the weights' values (`ow`); their scale is 2 with one bit, else 1."""
        return 1 << (self.bits - 1)

    @property
    def small(self) -> bool:
        """True where the values of activations are below 16."""
        return self.act_bits <= 4

    @property
    def scale(self) -> int:
        return 2 if self.bits == 1 else 1

    @property
    def variants(self) -> tuple[str, ...]:
        """Its functions: `mico_conv2d_<variant>`; four columns are gathered together for register blocks of four positions."""
        four = [f"{self.name}_four"] if self.positions == POSITIONS else []
        return self.name, f"{self.name}_narrow", *four

    def takes(self, activation: QType, padded: bool) -> bool:
        """True where it can hold activations: -1 and +1 are the values 0 and 2, and padding is 1."""
        return max(activation.bits, 2) <= self.act_bits

    def holds(self, taps: int) -> bool:
        """True where it can hold a row, and its columns in two rows of 16 bits."""
        return True

    def tile(self, positions: int) -> int:
        """Positions at a time: a layer of fewer than the wide register block has takes one after the other."""
        return self.positions if positions >= self.positions else 1

    def block_outputs(self, tile: int) -> int:
        """Output channels of a register block."""
        return OUTPUTS if tile == 1 else PAIR

    def quads(self, taps: int) -> int:
        """Fours of taps that it goes through."""
        return -(-taps // VALUES)

    def blocks(self, quads: int) -> int:
        """Blocks of tables for so many fours of taps."""
        return 0

    def counts(self, taps: int, outputs: int, positions: int) -> tuple[int, int, int, int]:
        """Positions of a tile, tiles, fours of taps, and outputs in whole tiles, of which the last overlaps the one before."""
        tile = self.tile(positions)
        each = self.block_outputs(tile)
        return tile, -(-positions // tile), self.quads(taps), -(-outputs // each) * each

    def cycles(self, taps: int, outputs: int, positions: int, whole: bool = False) -> float:
        """Estimate for a layer without groups.

        Args:
            whole: columns lie in the input in one piece of whole words, and need no gathering.
        """
        return sum(self.parts(taps, outputs, positions, whole))

    def parts(self, taps: int, outputs: int, positions: int, whole: bool = False) -> Parts:
        """The parts of that estimate."""
        tile, tiles, quads, outputs = self.counts(taps, outputs, positions)
        each = self.narrow_cycles if tile == 1 else self.wide_cycles
        return Parts(
            call=each.call,
            columns=tiles * tile * COLUMN_CYCLES[tile == 1],
            packing=tiles * tile * quads * each.packing,
            gathering=0 if whole else tiles * tile * quads * each.gathering,
            sums=tiles * outputs * (each.output + each.block * self.blocks(quads)),
            steps=tiles * outputs * quads * each.step,
        )

    def scratch_words(self, taps: int, outputs: int, positions: int) -> int:
        """Words of scratch: the columns of a tile, as bytes or packed behind one as bytes; tables and sums, or unpacked weights."""
        tile = self.tile(positions)
        return -(-taps // VALUES) * tile + self.spare_words(taps, outputs, tile)

    def spare_words(self, taps: int, outputs: int, tile: int) -> int:
        """The words of scratch that are no columns of bytes: a column alone, packed into halves of words."""
        return 2 * self.quads(taps) if self.PACK and tile == 1 else 0

    @abstractmethod
    def places(self, taps: int) -> np.ndarray:
        """(taps, bits) the place in its row of each bit of each value, counted from the first word's lowest."""

    def mixed(self, words: np.ndarray) -> np.ndarray:
        """Weights (rows, words), whose bits are at their `places`, as they lie in memory, and the other way round."""
        return words

    def source(self, variant: str) -> str:
        """The C file of one of its `variants`: straight C, then the function, whose outer loops are those of mico_tile.h."""
        c, narrow = Code(), variant.endswith("_narrow")
        c("", why=(type(self).__doc__ or "").split("\n\n")[0])
        c(f'#include "mico_conv2d_{variant}.h"', "", f'#include "{self.HEADER}"')
        self.emit(c, narrow)
        shape, call = ("narrow" if narrow else "wide"), "p, x, y, scratch, kernel"
        self._members(c, shape)
        if variant.endswith("_four"):
            with c.function(f"static __attribute__((noinline)) void prepare({_PREPARE})"):
                c("mico_prepare(p, x, iy, ix, scratch, terms, kernel);")
        if not narrow:
            call += ", prepare" if variant.endswith("_four") else ", 0"
        with c.function(f"void mico_conv2d_{variant}({_LAYER})"):
            c(f"mico_conv2d_{shape}({call});")
        return c.text()

    def emit(self, c: Code, narrow: bool) -> None:
        """The function `block` of the register block, a mico_tile, and what it needs."""
        with c.function(f"MICO_INLINE void block({_TILE})"):
            c("(void)#;", over=self.UNUSED)
            (self.narrow if narrow else self.wide)(c)

    @abstractmethod
    def wide(self, c: Code) -> None:
        """The body of the wide register block."""

    @abstractmethod
    def narrow(self, c: Code) -> None:
        """The body of the narrow one."""

    def _members(self, c: Code, shape: str) -> None:
        members = {
            "positions": self.positions,
            "layout": self.LAYOUT,
            "half": int(self.HALF),
            "small": int(self.small),
            "zero_point": self.zero_point * (2 if self.HALF else 1),
            "pack": self.PACK,
            "pack_four": self.PACK_FOUR,
            f"{shape}{self.BLOCK}": "block",
        }
        c("")
        with c.block("static const mico_micro_kernel kernel =", tail=";"):
            for name, value in members.items():
                if value not in ("", 0):
                    c(f".{name} = {value},")


def xored(words: np.ndarray, count: int, lane: int, spare: int) -> np.ndarray:
    """Words (rows, words) of weights as they lie in memory, where a kernel shifts and XORs groups of them; and the other way round.

    It shifts `count` words, one after the other, by the `spare` bits at the top of each lane, which are changed so that they are
    unchanged in the result, whatever else comes to lie there.
    """
    tops = np.uint32(sum(((1 << spare) - 1) << at for at in range(lane - spare, WORD, lane)))
    whole = words.shape[1] // count * count
    groups = words[:, :whole].reshape(len(words), -1, count)
    shifts = np.arange(count - 1, -1, -1, dtype=np.uint32) * np.uint32(spare)
    others = np.bitwise_xor.reduce((groups & ~tops) >> shifts, axis=2)
    groups = groups ^ (others[:, :, None] << shifts & tops)
    return np.concatenate([groups.reshape(len(words), whole), words[:, whole:]], axis=1)
