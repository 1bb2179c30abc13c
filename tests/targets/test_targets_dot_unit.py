"""The dot-product unit alone: its Verilog, and its model in C, against the arithmetic that docs/reference/quantisation.md defines."""

from __future__ import annotations

import shutil
import subprocess
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from mico_runner.codegen.emit import KERNELS
from mico_runner.codegen.packing import pack_rows
from mico_runner.targets import cores, rtl

needs_verilator = pytest.mark.skipif(
    not all(map(shutil.which, ("verilator", "g++", "make"))), reason="needs verilator and g++ (make setup-rtl)"
)
needs_gcc = pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc")
VERILOG = [rtl.HERE / file for file in cores.DOT_UNIT]
CONFIG, RANGE, CHANNEL, TILE, BLOCK, PUSH, CUT, MAC, RESULT, RESULT4, MAX = range(11)  # kernels/mico_dot.h
ONE, NEXT = 1, 4
MAIN = """
#include "mico_dot.h"
#include <stdio.h>
int main(int argc, char **argv)
{
    FILE *in = fopen(argv[1], "rb"), *out = fopen(argv[2], "wb");
    uint32_t c[4];
    (void)argc;
    while (fread(c, sizeof c, 1, in) == 1) {
        const uint32_t result = mico_dot_model(c[0], c[1], c[2], c[3]);
        fwrite(&result, sizeof result, 1, out);
    }
    return fclose(out);
}
"""


class Script:
    """Instructions, and what those that return something must return."""

    def __init__(self) -> None:
        self.commands: list[tuple[int, int, int, int]] = []
        self.expected: list[tuple[int, int]] = []  # (index of the instruction, result)

    def do(self, op: int, a: int = 0, b: int = 0, funct3: int = 0, returns: int | None = None) -> None:
        if returns is not None:
            self.expected.append((len(self.commands), returns & 0xFFFFFFFF))
        self.commands.append((op, funct3, a & 0xFFFFFFFF, b & 0xFFFFFFFF))

    def check(self, results: np.ndarray) -> None:
        assert len(results) == len(self.commands)
        at, wanted = np.array(self.expected).T
        wrong = np.flatnonzero(results[at] != wanted)
        assert not len(wrong), f"{len(wrong)} of {len(at)} results differ, first at instruction {at[wrong[0]]}"


def requantise(acc: int, multiplier: int, shift: int, low: int, high: int, sign: bool) -> int:
    if sign:
        return 1 if acc >= 0 else -1
    return min(max((acc * multiplier + (1 << (shift - 1))) >> shift, low), high)


def layer(
    script: Script, rng: np.random.Generator, act_bits: int, weight_bits: int, signed: bool, extreme: str | None = None
) -> None:
    """A tile of a random layer: rows of an image cut into patches, clipped at both ends, against some channels."""
    signs = signed and act_bits == 1 and weight_bits == 1
    is_sign = signed and act_bits == 1
    lane = max(weight_bits, 1 if signs else 2 if is_sign else act_bits)
    rows, run, positions = int(rng.integers(1, 5)), int(rng.integers(1, 40)), int(rng.integers(1, 17))
    step = int(rng.integers(0, 25))
    channels = int(rng.integers(1, 10))
    span = run + (positions - 1) * step
    if is_sign:
        image = rng.choice([-1, 1], (rows, span))
    else:
        low, high = (-(1 << (act_bits - 1)), 1 << (act_bits - 1)) if signed else (0, 1 << act_bits)
        image = rng.integers(low, high, (rows, span))
        image = image if extreme is None else np.full_like(image, low if extreme == "low" else high - 1)
    weights = rng.integers(-(1 << (weight_bits - 1)), 1 << (weight_bits - 1), (channels, rows * run))
    weights = weights if extreme is None else np.full_like(weights, -(1 << (weight_bits - 1)))
    if weight_bits == 1:
        weights = 2 * weights + 1
    befores = np.zeros(rows, int) if signs else rng.integers(0, span + 1, rows) * rng.integers(0, 2, rows)
    reals = np.full(rows, span) if signs else rng.integers(0, span - befores + 1)
    for row, before, real in zip(image, befores, reals, strict=True):
        row[:before] = 0
        row[before + real :] = 0
    patches = np.stack([image[:, p * step : p * step + run].ravel() for p in range(positions)])
    bias = rng.integers(-(1 << 20), 1 << 20, channels)
    multiplier, shift = rng.integers(1, 1 << 22, channels), rng.integers(1, 53, channels)
    y_sign = bool(rng.integers(5) == 0)
    low, high = sorted(int(v) for v in rng.integers(-(1 << 15), 1 << 15, 2))
    if rng.integers(2):
        shift, low, high = rng.integers(18, 34, channels), -(1 << 15), (1 << 15) - 1
    words = -(-rows * run * lane // 32)
    beyond = words * 32 // lane - rows * run if signs else 0

    mode = lane.bit_length() - 1 | (weight_bits.bit_length() - 1) << 2 | signed << 4 | signs << 5 | y_sign << 6
    script.do(CONFIG, mode, rows * run | words << 16)
    script.do(RANGE, low, high)
    script.do(BLOCK)
    for b, m, s in zip(bias - beyond, multiplier, shift, strict=True):
        script.do(CHANNEL, int(b), int(m) | int(s) << 22)
    script.do(TILE, positions)
    begin = int(
        rng.integers(0, positions)
    )  # the patches before it, then the others, as where a tile goes on in the next row of outputs
    for first, count in ((0, begin), (begin, positions - begin)):
        if count:
            for row, before, real in zip(image, befores, reals, strict=True):
                part = int(rng.integers(0, run))  # a run may come in two parts
                for at, length in ((0, part), (part, run - part)):
                    if length:
                        beside = first * step + at, length + (count - 1) * step
                        cut(script, rng, row, int(before), int(real), *beside, length, step, first, count)
    groups = [list(range(c, min(c + 4, channels))) for c in range(0, channels, 4)]
    late = bool(rng.integers(2))  # results of a group are read while the next is multiplied
    for i, group in enumerate(groups):
        multiply(script, weights[group], weight_bits)
        if late and i > 0:
            read(script, rng, groups[i - 1], patches, weights, bias, multiplier, shift, (low, high, y_sign))
        if not late or i + 1 == len(groups):
            read(script, rng, group, patches, weights, bias, multiplier, shift, (low, high, y_sign))


def cut(script: Script, rng, row, before, real, left, span, run, step, first, count) -> None:
    """Push the bytes left .. left + span - 1 of the row that are real, from any place within a word on, among others; cut."""
    low, high = (int(np.clip(v, left, left + span)) for v in (before, before + real))
    offset = int(rng.integers(4))
    if high > low:
        data = np.concatenate([rng.integers(0, 256, offset), row[low:high] & 0xFF]).astype(np.uint8)
        data = np.concatenate([data, rng.integers(0, 256, -len(data) % 8).astype(np.uint8)])
        for a, b in data.view("<u4").reshape(-1, 2):
            script.do(PUSH, int(a), int(b))
    where = offset | first << 2 | (first + count - 1) << 6 | (low - left) << 10 | (high - low) << 21
    script.do(CUT, where, run | step << 16)


def multiply(script: Script, weights: np.ndarray, bits: int) -> None:
    stream = [int(w) for w in pack_rows(weights, bits).ravel()]
    for a, b in zip(stream[::2], stream[1::2], strict=False):
        script.do(MAC, a, b)
    if len(stream) % 2:
        script.do(MAC, stream[-1], 0x12345678, ONE)


def read(script: Script, rng, group, patches, weights, bias, multiplier, shift, limits) -> None:
    as_bytes = bool(rng.integers(2))
    for patch in patches:
        results = [
            requantise(int(patch @ weights[c]) + int(bias[c]), int(multiplier[c]), int(shift[c]), *limits)
            for c in group
        ]
        if as_bytes and len(group) == 4:
            script.do(RESULT4, returns=sum((r & 0xFF) << 8 * i for i, r in enumerate(results)))
            continue
        for i, r in enumerate(results):
            script.do(RESULT, funct3=i | NEXT * (i + 1 == len(results)), returns=r)


def greatest(script: Script, rng: np.random.Generator) -> None:
    signed = int(rng.integers(2))
    bytes_ = rng.integers(0, 256, (2, 4)).astype(np.uint8)
    order = bytes_.view(np.int8) if signed else bytes_
    chosen = np.where(order[0] > order[1], bytes_[0], bytes_[1])
    script.do(MAX, *(int(v.view("<u4")[0]) for v in bytes_), signed, int(chosen.view("<u4")[0]))


def everything(seed: int, count: int) -> Script:
    """Every pair of bits `count` times, extremes among them, with MAX in between."""
    rng, script = np.random.default_rng(seed), Script()
    for _ in range(count):
        for act_bits, weight_bits, signed in product((1, 2, 4, 8), (1, 2, 4, 8), (False, True)):
            layer(script, rng, act_bits, weight_bits, signed, rng.choice([None, None, "low", "high"]))
            greatest(script, rng)
    return script


def run(program: Path, script: Script, folder: Path, *more: str) -> np.ndarray:
    commands, responses = folder / "commands.bin", folder / "responses.bin"
    commands.write_bytes(np.array(script.commands, "<u4").tobytes())
    subprocess.run([program, commands, responses, *more], check=True, timeout=600)
    return np.fromfile(responses, "<u4")


@pytest.fixture(scope="session")
def verilog(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dot_unit")
    bench = Path(__file__).parent / "dot_unit_bench.cpp"
    flags = ["--cc", "--exe", "--build", "-O3", "--x-assign", "unique", "-Wno-fatal", "--top-module", "mico_dot"]
    command = ["verilator", *flags, "-CFLAGS", "-O2", "-o", "bench", "-Mdir", folder, *VERILOG, bench]
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    return folder / "bench"


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dot_model")
    (folder / "main.c").write_text(MAIN)
    flags = ["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover", "-I", KERNELS]
    sources = [folder / "main.c", KERNELS / "mico_dot.c"]
    subprocess.run(["gcc", *flags, *sources, "-o", folder / "model"], check=True, timeout=600)
    return folder / "model"


@needs_verilator
@pytest.mark.parametrize("seed", [0, 1])
def test_verilog_gives_the_results_that_the_arithmetic_defines(verilog, tmp_path, seed):
    script = everything(seed, 8)
    script.check(run(verilog, script, tmp_path, str(seed)))


@needs_gcc
@pytest.mark.parametrize("seed", [0, 1])
def test_the_model_in_c_gives_the_same(model, tmp_path, seed):
    script = everything(seed, 8)
    script.check(run(model, script, tmp_path))


@needs_verilator
def test_a_product_by_hand(verilog, tmp_path):
    """(1, 2, 3) . (1, -1, 1) + 10 = 12, times 3 / 4, rounded half up: 9; and -10 clamped at -5."""
    script = Script()
    script.do(CONFIG, 3, 3 | 1 << 16)  # lanes of 8 bits, weights of one bit
    script.do(RANGE, -5, 100)
    script.do(BLOCK)
    script.do(CHANNEL, 10, 3 | 2 << 22)
    script.do(CHANNEL, -10, 1 << 21 | 21 << 22)
    script.do(TILE, 1)
    script.do(PUSH, 0x00030201, 0)
    script.do(CUT, 3 << 21, 3)
    script.do(MAC, 0b101, 0b101)  # each row has a word of its own
    script.do(RESULT, funct3=0, returns=9)
    script.do(RESULT, funct3=1 | NEXT, returns=-5)
    script.check(run(verilog, script, tmp_path, "0"))


@needs_verilator
def test_the_check_notices_a_wrong_result(verilog, tmp_path):
    script = Script()
    script.do(MAX, 0x01020304, 0x04030201, returns=0x04030304)
    results = run(verilog, script, tmp_path, "0")
    script.check(results)
    with pytest.raises(AssertionError, match="1 of 1 results differ, first at instruction 0"):
        script.check(results ^ 1)


@pytest.mark.nightly
@pytest.mark.skipif(shutil.which("yosys") is None, reason="needs yosys")
@pytest.mark.parametrize("family", ["ecp5", "ice40"])
def test_it_can_be_synthesised_and_keeps_within_its_area(family):
    """The limits are a tenth above what docs/results/dot_unit.md reports; another yosys may count a little otherwise."""
    script = f"read_verilog {' '.join(map(str, VERILOG))}; synth_{family} -top mico_dot; stat"
    found = subprocess.run(["yosys", "-p", script], check=True, capture_output=True, text=True, timeout=1800).stdout
    statistics = found[found.rindex("Number of cells:") :]
    cells = {line.split()[0]: int(line.split()[1]) for line in statistics.splitlines()[1:] if len(line.split()) == 2}
    assert cells[LUT[family]] < LUTS[family]
    assert "latch" not in found.lower() or "No latch inferred" in found


LUT = {"ecp5": "LUT4", "ice40": "SB_LUT4"}
LUTS = {"ecp5": 4202, "ice40": 6875}
