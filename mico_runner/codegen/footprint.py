"""What a linked program takes of a board's flash and of its stack, before anything is compiled.

Flash = constant tables + the structs of the calls + the kernels that are called, with all that these call + the rest: start, main, the
network's own function. Tables and structs are exact. The size of each kernel is measured (hardware/programs/, by
`targets.code_size`) with the compiler that stands there; another compiler makes other code, which the linked program shows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import yaml

from mico_runner import paths
from mico_runner.codegen import description, emit
from mico_runner.codegen.placement import LINE, places, struct_bytes
from mico_runner.codegen.program import Program
from mico_runner.errors import UnknownName

_WORD = 4
STAGE_FUNCTIONS = {f"mico_stage_{name}" for name in ("begin", "next", "read", "write", "done")}


class Board(NamedTuple):
    """What compiles programs for a folder of codegen/boards.

    Attributes:
        gcc: the compiler.
        flags: as the generated Makefile has them.
        page: bytes; the constants begin at a multiple of it.
        ends: bytes, the most that constants and what follows are filled up with to begin on a cache line.
        placed: whether the stack begins where `placement` says, below the end of memory.
    """

    gcc: str
    flags: tuple[str, ...]
    page: int = 1
    ends: int = 0
    placed: bool = False

    @property
    def tool(self) -> str:
        """Prefix of the compiler's other programs."""
        return self.gcc.removesuffix("gcc")


_RV32 = (*emit.RV32_TARGET.split(), *emit.RV32_CFLAGS.split())
BOARDS = {
    "rv32": Board("riscv64-unknown-elf-gcc", _RV32),
    "rtl": Board("riscv64-unknown-elf-gcc", (*_RV32, "-DMICO_PLACED"), page=4096, ends=2 * LINE, placed=True),
    **{
        board: Board("arm-none-eabi-gcc", (*target.split(), *emit.ARM_CFLAGS.split()))
        for board, target in emit.ARM_TARGETS.items()
    },
}


@dataclass(frozen=True)
class Footprint:
    """Bytes of flash by what takes them, and bytes of stack, `main` included."""

    tables: int
    structs: int
    kernels: int
    rest: int
    stack: int

    @property
    def flash(self) -> int:
        return self.tables + self.structs + self.kernels + self.rest


def estimate(program: Program, board: str) -> Footprint:
    """The footprint of a program on one of `BOARDS`.

    Raises:
        UnknownName: a kernel that hardware/programs/<board>.yaml does not have: it is to be measured again.
    """
    known = _measured(board)
    functions = _known_functions(program, board)
    needed = set().union(*(known.functions[name].sections for name in functions))
    code = sum(known.sections[name] for name in needed)
    tables = table_bytes(description.sections(program).values())
    structs = struct_bytes_of(program)
    rest = known.rest + known.rest_per_call * len(program.calls) + known.rest_per_stage * len(program.stages)
    rest += -(code + rest) % BOARDS[board].page + BOARDS[board].ends
    stack = known.stack + max(known.functions[name].stack for name in functions)
    stack += max((stage.stack_bytes for stage in program.stages), default=0)
    if BOARDS[board].placed:
        stack += places([program])[0].stack
    return Footprint(tables, structs, code, rest, stack)


def estimates(program: Program) -> dict[str, Footprint]:
    """The footprint on each board whose compiler's sizes are known for all kernels that the program calls."""
    own = called(program)
    return {board: estimate(program, board) for board in BOARDS if own <= _measured(board).functions.keys()}


def least_code(program: Program, board: str) -> int:
    """Flash beside the tables that a network takes on a board whatever bits its layers have: less than `estimate` says of any."""
    known = _measured(board)
    weightless = [call for call in program.calls if not call.weights and not call.at_some_bits]
    some = replace(program, calls=tuple(weightless), stages=())
    needed = set().union(*(known.functions[name].sections for name in _known_functions(some, board)))
    calls = sum(1 for call in program.calls if not call.at_some_bits)
    structs = sum(struct_bytes(call) for call in weightless)
    return known.rest + known.rest_per_call * calls + structs + sum(known.sections[name] for name in needed)


def called(program: Program) -> set[str]:
    """The kernels' functions that a program calls itself."""
    return {call.function for call in program.calls} | (STAGE_FUNCTIONS if program.stages else set())


def _known_functions(program: Program, board: str) -> set[str]:
    """The functions that are called. Raises UnknownName: one was not measured."""
    known = _measured(board).functions
    found = called(program)
    for name in sorted(found - known.keys()):
        raise UnknownName(f"kernel in hardware/programs/{board}.yaml", name, known)
    return found


class _Function(NamedTuple):
    stack: int
    sections: tuple[str, ...]


class _Measured(NamedTuple):
    sections: dict[str, int]
    functions: dict[str, _Function]
    rest: int
    rest_per_call: int
    rest_per_stage: int
    stack: int


@cache
def _measured(board: str) -> _Measured:
    if board not in BOARDS:
        raise UnknownName("board", board, BOARDS)
    text = (paths.shipped("hardware") / "programs" / f"{board}.yaml").read_text(encoding="utf-8")
    found = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    functions = {name: _Function(f["stack"], tuple(f["sections"])) for name, f in found["functions"].items()}
    return _Measured(found["sections"], functions, **found["program"])


def table_bytes(sizes: Iterable[int]) -> int:
    """Flash of constant tables, each on a word's boundary."""
    return sum(-(-size // _WORD) * _WORD for size in sizes)


def struct_bytes_of(program: Program) -> int:
    """Flash of the structs of all calls."""
    stages = sum(stage.struct_bytes for stage in program.stages)
    return stages + sum(struct_bytes(call) for call in program.calls)
