"""What the C program consists of: buffers and calls. `lowering` makes it of a QGraph, `emit` prints it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from mico_runner.codegen.packing import pack_rows
from mico_runner.codegen.planner import Placement
from mico_runner.codegen.schedule.rows import Rows
from mico_runner.ops.c import Buffer, Fields
from mico_runner.ops.node import QNode, scaling_of, storage_bits, weights_of


def stored_bits(node: QNode) -> int:
    """Bits of each weight of a weighted layer, in memory."""
    assert node.weight_bits is not None
    return storage_bits(node.weight_bits)


@dataclass(frozen=True)
class Weights:
    """The constants of a weighted layer, as stored: one row per output channel."""

    words: np.ndarray  # uint32 (rows, row_words)
    bias: np.ndarray  # int32 (rows,)
    multiplier: np.ndarray  # int32 (rows,)
    shift: np.ndarray  # uint8 (rows,)
    taps: int
    bits: int

    @classmethod
    def of(cls, node: QNode, rows: np.ndarray) -> Weights:
        """Pack `rows` (rows, taps), the node's weights in the kernel's order."""
        count, (_, bias), (multiplier, shift) = len(rows), weights_of(node), scaling_of(node)
        bits = stored_bits(node)
        return cls(
            words=pack_rows(rows, bits),
            bias=bias.astype(np.int32),
            multiplier=np.broadcast_to(multiplier, count).astype(np.int32),
            shift=np.broadcast_to(shift, count).astype(np.uint8),
            taps=rows.shape[1],
            bits=bits,
        )


@dataclass(frozen=True)
class Form:
    """A weighted layer as one kernel takes it: what `Call` has of these names."""

    kernel: str
    fields: Fields
    weights: Weights
    scratch_words: int
    variant: str = ""
    unit: str = ""


@dataclass(frozen=True)
class Call:
    """One kernel call: `mico_<kernel or variant>(&<name>, inputs..., output[, scratch])`.

    Attributes:
        name: C identifier, also of the constant struct.
        node: the QNode it belongs to.
        fields: the struct's members (int, C text, or a nested dict), without the weights.
        tables: constant arrays of an operator without weights, members of these names.
    """

    kernel: str
    name: str
    node: str
    inputs: tuple[Buffer, ...]
    output: Buffer
    fields: Fields
    weights: Weights | None = None
    tables: dict[str, np.ndarray] = field(default_factory=dict)
    variant: str = ""  # its function, where the kernel has several
    unit: str = ""  # file of a micro-kernel, which is emitted; its header is `mico_<kernel>.h`
    scratch_words: int | None = None  # of a kernel that works in words
    at_some_bits: bool = False  # whether it is made only because of the bits of the layers around it

    @property
    def constants(self) -> dict[str, np.ndarray]:
        """All constant arrays by name, in the order in which they are written."""
        w = self.weights
        own = {"weight": w.words, "bias": w.bias, "multiplier": w.multiplier, "shift": w.shift} if w else {}
        return own | self.tables

    @property
    def function(self) -> str:
        return f"mico_{self.variant or self.kernel}"

    @property
    def units(self) -> tuple[str, ...]:
        """Files with its struct and its function, without suffix."""
        return (f"mico_{self.kernel}", self.unit) if self.unit else (f"mico_{self.kernel}",)

    @property
    def scratch_bytes(self) -> int:
        """What the kernel works in: the words that it asks for, as for im2col columns of a tiled one; else one unpacked row of weights."""
        if self.scratch_words is not None:
            return 4 * self.scratch_words
        return self.weights.taps if self.weights else 0

    @property
    def scratch_type(self) -> str:
        return "int8_t" if self.scratch_words is None else "uint32_t"


class Candidate(NamedTuple):
    """A kernel that takes a layer.

    Attributes:
        kernel: its function, without `mico_`.
        cycles: that the layer takes, as far as they are estimated (`MicroKernel.cycles`).
    """

    kernel: str
    cycles: float | None = None


class KernelRow(NamedTuple):
    """A line of kernels.csv."""

    layer: str
    kernel: str
    estimated_cycles: float | None
    candidates: str
    reason: str


@dataclass(frozen=True)
class Choice:
    """The kernel of a layer.

    Attributes:
        candidates: those that take the layer, best first: the first is chosen, the last is the plain one.
        reason: why the chosen one, and why not what would have come before it.
        form: the layer in the chosen one's form; None for the plain one.
    """

    layer: str
    candidates: tuple[Candidate, ...]
    reason: str
    form: Form | None

    def row(self) -> KernelRow:
        chosen = self.candidates[0]
        known = (c.kernel if c.cycles is None else f"{c.kernel} ({c.cycles:.0f})" for c in self.candidates)
        cycles = None if chosen.cycles is None else round(chosen.cycles)
        return KernelRow(self.layer, chosen.kernel, cycles, ", ".join(known), self.reason)


class StageLine(NamedTuple):
    """Numbers of a line of a stage that its rows do not say, as `mico_line_t` has them.

    Attributes:
        memory: the buffer in which it lies: a tensor, or the stage's own rows.
    """

    memory: str
    row_bytes: int
    pixel_bytes: int
    columns: int
    multiple: int = 0
    offset: int = 0


@dataclass(frozen=True)
class Stage:
    """Calls first .. last that run together, an output row at a time (`kernels/mico_stage.h`): their structs are those of one row.

    Attributes:
        rows: what the stage reads and makes (`schedule.rows`), its operations counted as the program's calls.
        shifts: of each work and each of its reads the bytes of a row in front of what it reads.
        starts: the first output column of each strip; one where rows are whole.
    """

    name: str
    rows: Rows
    lines: tuple[StageLine, ...]
    shifts: tuple[tuple[int, ...], ...]
    starts: tuple[int, ...] = (0,)

    @property
    def first(self) -> int:
        return self.rows.start

    @property
    def last(self) -> int:
        return self.rows.stop - 1

    @property
    def struct_bytes(self) -> int:
        """Of its constants, all of whose members are words."""
        return 4 * (
            10 * len(self.rows.lines)
            + 13 * len(self.rows.works)
            + 4
            + (len(self.starts) if len(self.starts) > 1 else 0)
        )

    @property
    def stack_bytes(self) -> int:
        """Of the lines' states."""
        return 16 * len(self.rows.lines)


class EarlyEnd(NamedTuple):
    """Where a program ends when it is sure enough.

    Attributes:
        call: number of the last call before it.
        scores: what that call has written, where the answer is.
        margin: as of `quant.qgraph.Exit`.
    """

    call: int
    scores: Buffer
    margin: int


@dataclass(frozen=True)
class Program:
    """A network, lowered and planned. A sample's inputs lie one after the other in the files of `main.c`, as do its outputs.

    Attributes:
        kept_bytes: the end of the arena, which keeps what a call leaves there for the next one.
        lower_bound: the most bytes that live at one time.
        predicted_arena_bytes: what the schedule says of the arena; None of a program layer by layer.
    """

    name: str
    inputs: tuple[Buffer, ...]
    outputs: tuple[Buffer, ...]
    calls: tuple[Call, ...]
    memory: list[Placement] = field(default_factory=list)
    arena_bytes: int = 0
    kept_bytes: int = 0
    lower_bound: int = 0
    choices: tuple[Choice, ...] = ()
    stages: tuple[Stage, ...] = ()
    predicted_arena_bytes: int | None = None
    exits: tuple[EarlyEnd, ...] = ()

    def exit_after(self, call: int) -> int | None:
        """The number of the exit behind a call, if there is one."""
        return next((number for number, exit in enumerate(self.exits) if exit.call == call), None)

    def stage_of(self, call: int) -> Stage | None:
        """The stage in which a call runs, by its number; None: it runs alone."""
        return next((stage for stage in self.stages if stage.first <= call <= stage.last), None)

    @property
    def input_bytes(self) -> int:
        """Of one sample."""
        return sum(buffer.bytes for buffer in self.inputs)

    @property
    def output_count(self) -> int:
        """Numbers that one sample gives."""
        return sum(buffer.size for buffer in self.outputs)

    @property
    def fill(self) -> tuple[int, int]:
        """The least and the most byte with which an input can be filled to time a network."""
        return max(b.type.qmin for b in self.inputs), min(b.type.qmax for b in self.inputs)

    @property
    def parameters(self) -> str:
        """Of the network's function, but for the arena."""
        inputs = [f"const {buffer.ctype} *{buffer.name}" for buffer in self.inputs]
        return ", ".join([*inputs, *(f"int32_t *{buffer.name}" for buffer in self.outputs)])

    @property
    def arguments(self) -> str:
        """The same for a caller that has all inputs in `input` and all outputs in `output`."""
        if len(self.inputs) == 1:
            return ", ".join(["input", *self._written()])
        found, at = list[str](), 0
        for buffer in self.inputs:
            found.append(f"(const {buffer.ctype} *)((const uint8_t *)input + {at})")
            at += buffer.bytes
        return ", ".join([*found, *self._written()])

    @property
    def example_arguments(self) -> str:
        """The same for the example, which has a constant for each input."""
        return ", ".join([*(f"{self.name}_test_{buffer.name}" for buffer in self.inputs), *self._written()])

    def _written(self) -> list[str]:
        starts = np.cumsum([0, *(buffer.size for buffer in self.outputs[:-1])])
        return [f"output + {start}" if start else "output" for start in starts]
