"""Matrix products on the Verilog of an array, by verilator: sums of whole numbers, and the cycles that they take."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mico_runner.errors import StepError, StepSkipped, UsageError
from mico_runner.paths import cache_folder
from mico_runner.targets import kept_bench, program
from mico_runner.verilog.array import BENCH, DESIGN, INDEX_BITS, MAIN, WORDS, VerilogArray

TOOLS = ("verilator", "g++", "make")
_FLAGS = (
    *("--cc", "--exe", "--build", "-O3", "--x-assign", "fast", "--x-initial", "fast", "-Wno-fatal", "-Wno-WIDTH"),
    *("-MAKEFLAGS", "OPT_GLOBAL=-O0 OPT_SLOW=-O0 OPT_FAST=-O1", "--top-module", "bench", "-o", "bench"),
)
_TIMEOUT_S = 3600.0


@dataclass(frozen=True)
class Simulated:
    """Sums of a product, int64 (pixels, filters), and the cycles during which the array worked."""

    sums: np.ndarray
    busy: int


def build(array: VerilogArray) -> Path:
    """The program that simulates the array, kept in the user's cache under its content.

    Raises:
        StepSkipped: verilator, a C++ compiler or make is missing.
        StepError: it does not compile.
    """
    for tool in TOOLS:
        if shutil.which(tool) is None:
            raise StepSkipped(f"verilog: {tool} is missing; make setup-rtl installs what is needed")
    version = program.checked(["verilator", "--version"], "verilator", program.VERSION_TIMEOUT_S)
    texts = [array.text(name) for name in (DESIGN, BENCH, MAIN)]
    digest = hashlib.sha256("\n".join([version, *_FLAGS, *texts]).encode())
    home = cache_folder() / "systolic" / digest.hexdigest()[:16]

    def verilated(work: Path) -> Path:
        array.write(work)
        command = ["verilator", *_FLAGS, "-Mdir", str(work / "made"), DESIGN, BENCH, MAIN]
        program.checked(command, "verilator", program.BUILD_TIMEOUT_S, cwd=work)
        return work / "made" / kept_bench.BENCH

    return kept_bench.kept(home, verilated)


def run(array: VerilogArray, acts: np.ndarray, weights: np.ndarray) -> Simulated:
    """The product of activations (pixels, taps) and weights (taps, filters), whole numbers that fit the elements' operands.

    Raises:
        UsageError: the operands do not fit the test bench's memories or counters.
        StepSkipped, StepError: as `build`.
    """
    bench = build(array)
    if array.dataflow == "input_stationary":  # filters stream, pixels are held
        found = _run(array, bench, weights.T, acts.T)
        return Simulated(found.sums.T, found.busy)
    return _run(array, bench, acts, weights)


def _run(array: VerilogArray, bench: Path, left: np.ndarray, top: np.ndarray) -> Simulated:
    """`left` (n, taps) enters from the left, `top` (taps, m) from the top."""
    (count, taps), across = left.shape, top.shape[1]
    rows, columns = array.rows, array.columns
    column_folds = -(-across // columns)
    top = np.pad(top, ((0, 0), (0, column_folds * columns - across)))
    if array.dataflow == "output_stationary":
        stream, row_folds = taps, -(-count // rows)
        left = np.pad(left, ((0, row_folds * rows - count), (0, 0)))
        # Banks: word fold * taps + tap of row r, of column c.
        left_words = left.reshape(row_folds, rows, taps).transpose(1, 0, 2)
        top_words = top.reshape(taps, column_folds, columns).transpose(2, 1, 0)
    else:
        stream, row_folds = count, -(-taps // rows)
        missing = row_folds * rows - taps
        left, top = np.pad(left, ((0, 0), (0, missing))), np.pad(top, ((0, missing), (0, 0)))
        left_words = left.reshape(count, row_folds, rows).transpose(2, 1, 0)
        # A word for each row of a fold, the bottom row first.
        top_words = top.reshape(row_folds, rows, column_folds, columns)[:, ::-1].transpose(2, 0, 1, 3)
    _refuse_large({"stream": stream, "row folds": row_folds, "column folds": column_folds}, left_words, top_words)
    with tempfile.TemporaryDirectory(prefix="mico-array-") as scratch:
        folder = Path(scratch)
        _write(folder / "left.hex", left_words, array.left_bits)
        _write(folder / "top.hex", top_words, array.top_bits)
        sizes = [f"+stream={stream}", f"+row_folds={row_folds}", f"+column_folds={column_folds}"]
        program.checked([str(bench), *sizes], "the array's simulation", _TIMEOUT_S, cwd=folder)
        lines = (folder / "results.txt").read_text(encoding="utf-8").split()
    if len(lines) < 2 or lines[-2] != "cycles":
        raise StepError("the array's simulation ended early")
    table = np.array(lines[:-2], dtype=np.int64).reshape(-1, 2)
    bank = [table[table[:, 0] == number, 1] for number in range(rows if row_major(array) else columns)]
    if row_major(array):
        expected = (rows, column_folds, row_folds, columns)
        sums = _shaped(bank, expected).transpose(2, 0, 1, 3).reshape(row_folds * rows, column_folds * columns)
    else:
        sums = _shaped(bank, (columns, column_folds, stream)).transpose(2, 1, 0).reshape(stream, -1)
    return Simulated(sums[:count, :across], int(lines[-1]))


def row_major(array: VerilogArray) -> bool:
    """Whether results leave the array by rows."""
    return array.dataflow == "output_stationary"


def _shaped(banks: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    wanted = int(np.prod(shape[1:]))
    for number, bank in enumerate(banks):
        if len(bank) != wanted:
            raise StepError(f"bank {number} of the array gave {len(bank)} sums; {wanted} were to come")
    return np.array(banks).reshape(shape)


def _refuse_large(counts: dict[str, int], *words: np.ndarray) -> None:
    most = (1 << INDEX_BITS) - 1
    for name, count in counts.items():
        if count > most:
            raise UsageError(f"verilog: the layer has {count} {name}; allowed: up to {most}")
    for operand in words:
        if operand.size > WORDS:
            raise UsageError(
                f"verilog: an operand has {operand.size} words; allowed: up to {WORDS}, the test bench's memory"
            )


def _write(path: Path, words: np.ndarray, bits: int) -> None:
    """Two's complement, a word a line, as $readmemh takes them."""
    unsigned = words.reshape(-1) & ((1 << bits) - 1)
    path.write_text("\n".join(f"{word:x}" for word in unsigned.tolist()) + "\n", encoding="utf-8")
