"""Reads Timeloop's printed mappings (map.txt) and statistics (stats.txt) as machines and nests of `accelerators.hierarchy`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from collections.abc import Mapping as Map
from dataclasses import dataclass
from math import inf
from pathlib import Path

import numpy as np

from mico_runner.accelerators.machine import Loop, Machine, Memory, Nest, Operand
from mico_runner.errors import UsageError

_LOOP = re.compile(r"^[| ]*for (\w+) in \[0:(\d+)(?:,(\d+))?\)( \(Spatial-\w\))?$")
_LEVEL = re.compile(r"^(\w+) \[ ?(.*?) ?\] *$")
COUNTS = {"reads": "Scalar reads", "fills": "Scalar fills", "updates": "Scalar updates"}
SPARSE_COUNTS = {kind: f"Actual s{label[1:]}" for kind, label in COUNTS.items()}  # as Sparseloop prints them


@dataclass(frozen=True)
class Design:
    """A Timeloop run.

    Attributes:
        nest, operands, machine: what `hierarchy.evaluate` takes.
        cycles, utilisation, energy_pj: as printed.
        accesses: printed words of one instance, by (memory, operand), then "reads", "fills", "updates".
    """

    nest: Nest
    operands: tuple[Operand, ...]
    machine: Machine
    cycles: int
    utilisation: float
    energy_pj: float
    accesses: dict[tuple[str, str], dict[str, int]]


def read(folder: Path, problem: Map[str, int]) -> Design:
    """A design from its folder. What sparsity saves is in the printed accesses, not in the machine (`accelerators.sparsity`).

    An access costs what Timeloop printed for it: the printed energy of an operand in a level over its printed accesses (the
    printed energy per access is rounded to 0.01 pJ).

    Args:
        problem: the workload's dimensions and strides, e.g. {"P": 112, "Q": 112, "R": 3, "S": 3, "Wstride": 2, "Hstride": 2}.

    Raises:
        UsageError: a loop with a ragged end, or a file of another form.
    """
    levels = _levels(folder / "map.txt")
    text = (folder / "stats.txt").read_text(encoding="utf-8")
    printed = {
        found[1]: block
        for block in re.split(r"\nLevel \d+\n-+\n", text)[1:]
        if (found := re.search(r"=== (\S+) ===", block))
    }
    cycles, utilisation = int(_number(text, "Cycles", summary=True)), _number(text, "Utilization", summary=True) / 100
    memories: list[Memory] = []
    nest: Nest = []
    outside: list[Loop] = []
    accesses: dict[tuple[str, str], dict[str, int]] = {}
    for name, keeps, loops in levels:
        if (
            not keeps
        ):  # a network, or a memory that everything passes by: its loops walk over the tiles of the memory around it
            (nest[-1] if nest else outside).extend(loops)
            continue
        memory, counted = _memory(name, keeps, printed[name], cycles)
        memories.append(memory)
        accesses |= {(name, operand): words for operand, words in counted.items()}
        nest.append(loops)
    mac = next(block for block in printed.values() if "Computes (total)" in block)
    computes = _number(mac, "Actual Computes (total)" if "Actual Computes" in mac else "Computes (total)")
    machine = Machine(tuple(memories), int(_number(mac, "Instances")), _number(mac, "Energy (total)") / computes)
    energy = 1e-3 * computes * float(re.findall(r"^ +Total +=\s*(\S+)", text, re.MULTILINE)[-1])
    return Design(nest, operands(problem, levels[0][1]), machine, cycles, utilisation, energy, accesses)


def operands(problem: Map[str, int], names: tuple[str, ...]) -> tuple[Operand, ...]:
    """The tensors of a Timeloop problem: a matrix product (A, B, Z) or a convolution (Weights, Inputs, Outputs)."""

    def axes(*dimensions: str) -> tuple[dict[str, int], ...]:
        return tuple({d: 1} for d in dimensions if d in problem)

    if "Z" in names:
        return Operand("A", axes("M", "K")), Operand("B", axes("K", "N")), Operand("Z", axes("M", "N"), written=True)
    window = []
    for out, tap, side in (("P", "R", "W"), ("Q", "S", "H")):
        steps = {out: problem.get(f"{side}stride", 1), tap: problem.get(f"{side}dilation", 1)}
        window.append({d: step for d, step in steps.items() if d in problem})
    weights, outputs = axes("K", "M", "C", "R", "S"), axes("N", "K", "M", "P", "Q")
    inputs = (*axes("N", "C"), *(axis for axis in window if axis))
    return Operand("Weights", weights), Operand("Inputs", inputs), Operand("Outputs", outputs, written=True)


def _levels(path: Path) -> list[tuple[str, tuple[str, ...], list[Loop]]]:
    """(name, operands kept, loops) per level of a map.txt, outermost first."""
    levels: list[tuple[str, tuple[str, ...], list[Loop]]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if found := _LEVEL.match(line):
            levels.append((found[1], tuple(re.findall(r"(\w+):\d+", found[2])), []))
        elif found := _LOOP.match(line):
            if found[3] and found[3] != found[2]:
                raise UsageError(
                    f"{path}:{number}: loop {found[1]} ends raggedly; allowed: bounds that divide the dimension"
                )
            levels[-1][2].append(Loop(found[1], np.array([int(found[2])]), bool(found[4])))
    if not levels:
        raise UsageError(f"{path}: found no level; allowed: a map.txt that Timeloop wrote")
    return levels


def _memory(name: str, keeps: tuple[str, ...], block: str, cycles: int) -> tuple[Memory, dict[str, dict[str, int]]]:
    counted, cost = {}, {}
    for part in re.split(r"\n    (?=[A-Z]\w*:\n)", block.split("STATS")[1])[1:]:
        operand = part.split(":")[0]
        labels = SPARSE_COUNTS if "Actual scalar reads" in part else COUNTS
        words = {key: int(_number(part, label)) for key, label in labels.items()}
        counted[operand] = words
        cost[operand] = _number(part, "Energy (per-instance)") / max(1, sum(words.values()))
    read, write = (_number(block, f"{way} bandwidth", absent=inf) for way in ("Read", "Write"))
    size = _number(block, "Data storage size" if "Data storage size" in block else "Size", absent=inf)
    leak = _number(block, "Leakage energy (total)") / cycles
    return Memory(name, keeps, cost, size_words=size, leak_pj=leak, read_words=read, write_words=write), counted


def _number(text: str, label: str, absent: float | None = None, summary: bool = False) -> float:
    """The first figure printed after a label; `absent` where Timeloop printed a dash."""
    space = r"\s*" if summary else r"[^:\n]*"
    found = re.search(rf"^\s*{re.escape(label)}{space}: (\S+)", text, re.MULTILINE)
    if summary:
        found = re.search(rf"^{re.escape(label)}: (\S+?)%?$", text, re.MULTILINE)
    if found is None or (found[1] == "-" and absent is None):
        raise UsageError(f"Timeloop's statistics lack {label!r}")
    return float(found[1]) if found[1] != "-" or absent is None else absent


def stretched(
    compute: np.ndarray, traffic: Iterable[tuple[Sequence[np.ndarray], Sequence[np.ndarray], np.ndarray]]
) -> np.ndarray:
    """Whole cycles as Timeloop rounds them: the compute cycles over the smallest share that a memory's bandwidth is of its demand.

    The quotient of quotients may come out a cycle above the exact one; the order of operations is that of Timeloop's
    `BufferLevel::ComputePerformance`.

    Args:
        compute: compute cycles, (mappings,).
        traffic: of each memory the reads of each operand, the writes of each operand, and the words per cycle for both together;
            all (mappings,), of one instance.
    """
    share = np.ones(len(compute))
    for reads, writes, words in traffic:
        wanted = sum(part / compute for part in reads) + sum(part / compute for part in writes)
        share = np.minimum(share, words / np.maximum(wanted, np.finfo(float).tiny))
    cycles: np.ndarray = np.ceil(compute / share).astype(np.int64)
    return cycles
