"""The micro-kernels: which bits each can hold, how weights lie in its words, how long it takes, and its C.

A layer runs in one of them (`codegen.policy`), of which only the functions that a program calls are emitted (`codegen.emit`).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from mico_runner.codegen.micro.base import Cycles, MicroKernel
from mico_runner.codegen.micro.byte_lanes import ByteLanes
from mico_runner.codegen.micro.lanes import Lanes8, Lanes16
from mico_runner.codegen.micro.nibbles import Nibbles8, Nibbles16
from mico_runner.codegen.micro.odd_lanes import OddLanes
from mico_runner.codegen.micro.single_bits import SingleBits, SingleSigns
from mico_runner.codegen.micro.tables import PackedTables, Tables
from mico_runner.quant.qgraph import QType

# Bits of activations at most, bits of weights, cycles of the wide and of the narrow register block.
MICRO_KERNELS: tuple[MicroKernel, ...] = (
    SingleBits(1, 1, Cycles(243.1, 7.5, 6.2, 124.2, 7.9), Cycles(0.0, 14.6, 13.4, 49.4, 2.0)),
    SingleSigns(1, 1, Cycles(243.1, 7.5, 6.2, 124.2, 7.9), Cycles(0.0, 14.6, 13.4, 49.4, 2.0)),
    PackedTables(2, 1, Cycles(750.3, 29.6, 18.9, 243.4, 5.0, 64.1), Cycles(0.0, 39.7, 24.6, 52.7, 4.4, 44.3)),
    Lanes8(2, 1, Cycles(344.5, 5.9, 17.2, 121.5, 15.2), Cycles(0.0, 0.0, 21.3, 58.0, 5.4)),
    Lanes8(4, 1, Cycles(314.5, 5.9, 17.3, 121.5, 15.2), Cycles(0.0, 0.0, 21.9, 61.2, 5.9)),
    Lanes16(8, 1, Cycles(238.7, 14.1, 23.2, 174.6, 27.4), Cycles(0.0, 5.0, 25.8, 58.1, 11.2)),
    Tables(8, 1, Cycles(1033.2, 37.3, 12.3, 103.2, 5.8, 70.5), Cycles(0.0, 45.1, 24.9, 52.8, 4.4, 44.0)),
    Lanes8(2, 2, Cycles(17.7, 8.1, 16.2, 118.3, 15.1), Cycles(0.0, 0.0, 19.8, 53.9, 6.4)),
    Lanes8(4, 2, Cycles(17.6, 7.9, 16.5, 113.3, 17.7), Cycles(0.0, 0.0, 21.3, 52.2, 8.9)),
    Lanes16(8, 2, Cycles(252.7, 10.7, 18.1, 158.4, 30.4), Cycles(0.0, 5.4, 24.8, 56.9, 10.8)),
    Tables(8, 2, Cycles(1256.4, 50.3, 12.4, 95.3, 13.3, 61.1), Cycles(0.0, 86.5, 23.4, 52.9, 9.5, 37.0)),
    Nibbles8(2, 3, Cycles(632.6, 3.2, 21.7, 142.3, 16.2), Cycles(0.0, 30.0, 9.8, 76.9, 8.8)),
    Nibbles16(4, 3, Cycles(1152.6, 5.9, 25.0, 160.2, 28.8), Cycles(0.0, 27.7, 13.3, 74.5, 10.8)),
    ByteLanes(8, 3, Cycles(929.7, 17.2, 10.8, 209.5, 37.2), Cycles(0.0, 0.0, 23.4, 113.6, 21.3)),
    Lanes8(2, 4, Cycles(96.8, 6.5, 17.8, 110.0, 19.0), Cycles(0.0, 6.0, 13.6, 52.3, 9.8)),
    Lanes16(4, 4, Cycles(283.2, 5.8, 19.6, 163.9, 30.1), Cycles(0.0, 14.7, 13.1, 53.2, 12.7)),
    ByteLanes(8, 4, Cycles(693.6, 15.8, 9.9, 183.7, 39.1), Cycles(0.0, 0.0, 22.4, 95.2, 20.4)),
    Lanes16(8, 4, Cycles(26.1, 11.1, 20.4, 141.4, 40.0), Cycles(0.0, 14.4, 13.3, 53.1, 12.7)),
    OddLanes(4, 5, Cycles(1116.8, 6.0, 1.3, 123.7, 34.6), Cycles(0.0, 12.1, 0.0, 40.1, 12.1)),
    ByteLanes(4, 5, Cycles(969.2, 8.4, 13.4, 208.1, 40.9), Cycles(0.0, 3.6, 17.3, 129.5, 22.6)),
    ByteLanes(8, 5, Cycles(1146.7, 7.5, 15.1, 191.2, 43.9), Cycles(0.0, 5.2, 19.5, 129.5, 22.6)),
    OddLanes(4, 6, Cycles(587.8, 3.5, 3.5, 121.3, 35.9), Cycles(0.0, 14.3, 0.0, 43.8, 12.5)),
    ByteLanes(4, 6, Cycles(972.3, 6.0, 13.1, 217.9, 40.9), Cycles(0.0, 7.0, 17.2, 130.5, 22.3)),
    ByteLanes(8, 6, Cycles(1148.5, 5.0, 15.0, 198.2, 43.8), Cycles(0.0, 8.1, 19.6, 130.0, 22.4)),
    OddLanes(4, 7, Cycles(1161.8, 4.8, 1.1, 95.7, 37.1), Cycles(0.0, 13.7, 0.0, 43.0, 12.9)),
    ByteLanes(4, 7, Cycles(1232.0, 3.5, 14.6, 209.1, 42.4), Cycles(0.0, 0.0, 25.2, 131.8, 23.5)),
    ByteLanes(8, 7, Cycles(1525.1, 2.6, 15.7, 195.7, 49.4), Cycles(0.0, 0.0, 28.3, 131.6, 23.6)),
    ByteLanes(4, 8, Cycles(390.0, 7.8, 9.1, 113.4, 36.3), Cycles(0.0, 0.3, 20.1, 43.8, 16.7)),
    Lanes16(4, 8, Cycles(0.0, 5.5, 20.2, 126.3, 41.4), Cycles(0.0, 0.0, 23.3, 44.7, 16.9)),
    ByteLanes(8, 8, Cycles(471.0, 8.4, 11.1, 101.6, 49.4), Cycles(0.0, 2.5, 21.0, 43.7, 16.7)),
)
_BY_UNIT = {f"mico_conv2d_{variant}": (kernel, variant) for kernel in MICRO_KERNELS for variant in kernel.variants}
UNITS = tuple(_BY_UNIT)  # C files, each with a function of the same name


def candidates(weight_bits: int, activation: QType, padded: bool, tables: bool = True) -> list[MicroKernel]:
    """The micro-kernels that can hold a layer's bits.

    Those of more activation bits are among them, so that fewer bits are no slower but for the estimate's error.

    Args:
        weight_bits: in memory.
        padded: whether the convolution has zero padding, which a signed bit (-1, +1) cannot stand for.
        tables: also those with tables in their scratch, besides columns of two rows at most.
    """
    fitting = (k for k in MICRO_KERNELS if k.bits == weight_bits and k.takes(activation, padded))
    return [kernel for kernel in fitting if tables or not kernel.TABLES]


def of_unit(unit: str) -> MicroKernel | None:
    """The micro-kernel of one of `UNITS`; None for another name."""
    found = _BY_UNIT.get(unit)
    return found and found[0]


def sources(units: Iterable[str]) -> dict[str, str]:
    """Header and C file, by name, of those of the units that are micro-kernels."""
    return {file: text for unit in sorted(set(units) & _BY_UNIT.keys()) for file, text in _files(unit).items()}


def write(units: Iterable[str], folder: Path) -> list[Path]:
    """Write these files into `folder`; the C files among them."""
    found = sources(units)
    for file, text in found.items():
        (folder / file).write_text(text, encoding="utf-8")
    return [folder / file for file in found if file.endswith(".c")]


@cache
def _files(unit: str) -> dict[str, str]:
    kernel, variant = _BY_UNIT[unit]
    guard = f"{unit.upper()}_H"
    header = (
        f'#ifndef {guard}\n#define {guard}\n\n#include "mico_conv2d_tiled.h"\n\nmico_conv2d_tiled {unit};\n\n#endif\n'
    )
    return {f"{unit}.h": header, f"{unit}.c": kernel.source(variant)}
