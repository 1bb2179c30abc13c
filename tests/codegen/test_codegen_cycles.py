"""Cycles of the product 16 x 64 x 32 by the tiled kernels on the RTL of VexRiscv Full: no more than they were, fewer bits no slower,
with tables in scratch and without."""

from __future__ import annotations

import importlib.util
import shutil
from itertools import product

import pytest

from tests.bench.kernels import BARS, operands, parts

TOOLS = ("verilator", "riscv64-unknown-elf-gcc", "g++", "make")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not all(map(shutil.which, TOOLS)) or importlib.util.find_spec("pythondata_cpu_vexriscv") is None,
        reason="needs verilator, a RISC-V gcc and pythondata-cpu-vexriscv (make setup-rtl)",
    ),
]
POWERS = (1, 2, 4, 8)
PAIRS = list(product(POWERS, POWERS))


@pytest.fixture(scope="module", params=[True, False], ids=["tables", "without"])
def cycles(request) -> dict[tuple[int, int], int]:
    """Of the product with all unpacking of the weights, by bits of activations and of weights."""
    return {(a, w): parts(*operands(a, w), tables=request.param)[1] for a in POWERS for w in range(1, 9)}


@pytest.mark.parametrize("bits", BARS)
def test_a_product_takes_no_more_cycles_than_it_did(bits):
    assert parts(*operands(*bits))[1] <= BARS[bits][0]


@pytest.mark.nightly
@pytest.mark.parametrize("bits", BARS)
def test_nor_without_tables(bits):
    assert parts(*operands(*bits), tables=False)[1] <= BARS[bits][1]


@pytest.mark.nightly
@pytest.mark.parametrize(("act_bits", "weight_bits"), PAIRS)
def test_fewer_bits_are_no_slower(cycles, act_bits, weight_bits):
    wider = [(a, w) for a, w in PAIRS if a >= act_bits and w >= weight_bits]
    assert cycles[act_bits, weight_bits] == min(cycles[pair] for pair in wider)


@pytest.mark.nightly
@pytest.mark.parametrize("act_bits", POWERS)
@pytest.mark.parametrize(("weight_bits", "next_bits"), [(3, 4), (5, 8), (6, 8), (7, 8)])
def test_odd_widths_are_no_slower_than_the_next_of_4_and_8(cycles, act_bits, weight_bits, next_bits):
    assert cycles[act_bits, weight_bits] <= cycles[act_bits, next_bits]
