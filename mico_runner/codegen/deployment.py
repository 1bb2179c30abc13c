"""Which program a spec makes of a network, and what it takes: asked by search, evaluation, code generation and simulation alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mico_runner.codegen.footprint import Footprint
    from mico_runner.codegen.program import Program
    from mico_runner.quant.qgraph import QGraph


@dataclass(frozen=True)
class Needs:
    """Memory that a program takes, in bytes.

    Attributes:
        tables: constant tables: weights, biases, scales.
        flash: what is flashed: tables, structs and code, estimated; the tables alone where no board is named.
        arena, input, output: RAM of one inference.
        stack: estimated; 0 where no board is named.
    """

    tables: int
    flash: int
    arena: int
    input: int
    output: int
    stack: int

    @property
    def ram(self) -> int:
        """Arena, input, output and stack."""
        return self.arena + self.input + self.output + self.stack


@dataclass(frozen=True)
class Deployment:
    """The kind of program that a network becomes.

    Attributes:
        runtime, core, scratch: as `codegen.generate` takes them.
        board: of `footprint.BOARDS`, for which it is linked; None on the host, where nothing is flashed.
        schedule, max_macs: as `codegen.generate` takes them.
    """

    runtime: str
    core: str | None
    scratch: str
    board: str | None
    schedule: str = "layers"
    max_macs: float = 1.0

    def lower(self, graph: QGraph) -> Program:
        """The program's calls and memory."""
        from mico_runner.codegen.lowering import lower
        from mico_runner.codegen.policy import KernelPolicy

        return lower(graph, KernelPolicy.of(self.runtime, self.core, self.scratch), self.schedule, self.max_macs)

    def footprint(self, program: Program) -> Footprint | None:
        """Estimated flash and stack; None without a board."""
        from mico_runner.codegen import footprint

        return footprint.estimate(program, self.board) if self.board else None

    def least_code(self, graph: QGraph) -> int:
        """Flash beside the tables that the network takes whatever bits its layers have; 0 without a board, where code is not counted."""
        from mico_runner.codegen import footprint

        return footprint.least_code(self.lower(graph), self.board) if self.board else 0

    def needs(self, graph: QGraph) -> Needs:
        """Flash and RAM of a network's program."""
        from mico_runner.codegen import description

        program = self.lower(graph)
        tables = sum(description.sections(program).values())
        found = self.footprint(program)
        output_bytes = sum(buffer.bytes for buffer in program.outputs)
        flash, stack = (found.flash, found.stack) if found else (tables, 0)
        return Needs(tables, flash, program.arena_bytes, program.input_bytes, output_bytes, stack)
